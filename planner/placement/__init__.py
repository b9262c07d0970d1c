"""From a plan to what a scheduler takes: Ray's options, a Kubernetes Job, a Slurm batch script, a SkyPilot task.

Pure functions of a plan to plain data or text. Nothing here knows a file, a clock, a cluster or a GPU that is present,
nor imports the schedulers' own packages: whoever submits has them.
"""
