"""What is drawn of an image or a video: its masks as outlines, and each object in time."""
