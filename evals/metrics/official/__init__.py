"""Committed cases, with the numbers that the official code of each metric gave for them."""
