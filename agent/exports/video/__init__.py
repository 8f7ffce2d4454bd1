"""The objects of an answer about a video in the formats of other tools."""
