"""Load and run a configuration of SAM 2: images, video without end, automatic masks."""
