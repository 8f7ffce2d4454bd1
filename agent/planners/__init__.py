"""Planners: what looks at an episode and decides on the next tool call."""
