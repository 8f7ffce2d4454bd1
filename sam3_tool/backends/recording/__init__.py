"""Answers of SAM 3 saved in a folder and read back."""
