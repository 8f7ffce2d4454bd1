"""Readers that metrics share: the entries, masks and boxes of benchmark files."""
