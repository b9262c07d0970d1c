"""Runs of SAM 2, driven: by the sam2 package's own predictors (stock) and by the runtime (own). Nowhere else."""
