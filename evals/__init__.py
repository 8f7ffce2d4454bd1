"""Benchmarks: data sets in, published metrics out. Uses `agent` and `sam3_tool`; neither of them knows of it."""
