"""Benchmarks of queries about images, of 2024 to 2026."""
