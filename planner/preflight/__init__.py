"""Does a saved plan still hold, on this machine, now? Checks, and the policy they are held against."""
