"""Masks with classes out of other tools' files, to be put onto images."""
