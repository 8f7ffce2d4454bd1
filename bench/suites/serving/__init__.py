"""What it costs to ask over HTTP instead of in Python, and what happens when too many ask."""
