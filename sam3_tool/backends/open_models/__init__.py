"""Open models behind the `Backend` protocol: a detector for phrases, and SAM 2.1 for masks and clicks."""
