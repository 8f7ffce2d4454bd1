"""The files of a SAM 3 checkpoint: found, measured, and read."""
