"""Readers and scorers that several benchmarks share."""
