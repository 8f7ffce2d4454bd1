"""Many images of one visitor: a film strip, classes, one question over all of them, and one data set out of them."""
