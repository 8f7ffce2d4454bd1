"""Benchmarks: datasets, metrics, and the commands that make the numbers in the README."""
