"""The benchmarks, one file per table."""
