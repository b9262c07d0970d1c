"""What is measured on a GPU. So far: the GPU that is present."""
