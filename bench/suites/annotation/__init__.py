"""Runs over many images: what they cost beside SAM 3, and whether they lose one."""
