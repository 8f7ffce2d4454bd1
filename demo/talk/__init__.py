"""The right column of the page: what was said, in words for visitors, and the question."""
