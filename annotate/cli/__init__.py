"""`sam3-agent annotate`: its commands, their options, and what they print."""
