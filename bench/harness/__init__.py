"""How time and memory are measured and shown."""
