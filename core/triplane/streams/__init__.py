"""Output streams of runs: appended to by workflows and by clients, read by anybody, with a long poll at the end."""
