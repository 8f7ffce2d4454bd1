"""Tools as values: one tool, a set of them, a checked call of one, and who judges masks for them."""
