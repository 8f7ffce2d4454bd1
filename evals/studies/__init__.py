"""One-off experiments behind the tables of the documentation."""
