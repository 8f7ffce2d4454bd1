"""The forms of files that a data engine is exported to, one module each."""
