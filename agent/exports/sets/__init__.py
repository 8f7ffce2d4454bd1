"""The masks of many images as one data set, in the formats of other tools."""
