"""EfficientSAM3: SAM 3 whose vision trunk is a small network that was taught to give the large one's features."""
