"""Phrases that are not in an image: near ones, the hard ones among them, and easy ones."""
