"""Files that other programs train and score with, made of a data engine's pairs."""
