"""What is here: GPUs, their memory and who holds it, containers and caps."""
