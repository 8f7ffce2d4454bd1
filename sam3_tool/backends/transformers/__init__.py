"""SAM 3 on the transformers library."""
