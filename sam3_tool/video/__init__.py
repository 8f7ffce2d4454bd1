"""Clips and what is found in them: lazy frames with true time stamps, and objects through time."""
