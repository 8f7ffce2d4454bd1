"""Masks drawn over an image, for planners and people."""
