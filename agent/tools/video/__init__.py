"""The tools that work on a video: objects are tracks, and keep their numbers on all frames."""
