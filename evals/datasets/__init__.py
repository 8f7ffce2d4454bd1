"""Benchmarks as data, one file each."""
