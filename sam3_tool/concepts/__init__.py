"""Concepts that examples have shown, apart from the images that showed them."""
