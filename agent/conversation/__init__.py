"""Turns about an image, each an episode that starts from the answer before it."""
