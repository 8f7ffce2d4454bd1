"""The masks of an answer in the formats of other tools."""
