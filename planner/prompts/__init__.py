"""What the user points at, checked once, where it enters: from Python, a file or the command line."""
