"""Running a benchmark: samples in, predictions out, resumable."""
