"""The long work: masks of a clip or a picture as files, which an interruption cannot spoil."""
