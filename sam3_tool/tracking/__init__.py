"""Phrases and boxes through a video: what joins SAM 3's detections to the objects that its memory follows."""
