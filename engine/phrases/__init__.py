"""Noun phrases: where they come from, which of them SAM 3 can be asked about, and which are absent from an image."""
