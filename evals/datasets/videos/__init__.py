"""Benchmarks whose samples are about videos."""
