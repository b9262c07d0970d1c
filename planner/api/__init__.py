"""The Python API: loose values become requests, and answers have their files. The command line calls nothing else."""
