"""What text means and how it is laid out in files: units, words that are meant, YAML, command lines, paths."""
