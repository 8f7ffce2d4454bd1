"""The stages of a run, one file for each: they go on where they stopped, and do nothing twice."""
