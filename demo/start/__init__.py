"""The start of the page: what can be asked, and what came of it."""
