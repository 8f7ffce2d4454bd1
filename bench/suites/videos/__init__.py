"""What it costs to follow objects and phrases through a video."""
