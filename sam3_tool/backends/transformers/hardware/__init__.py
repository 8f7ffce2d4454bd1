"""Where a network runs: devices, what goes to and from them, and what they say when they fail."""
