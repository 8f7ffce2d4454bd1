"""From plain text to syntax: tokens, a tree, and what is left out of it filled in."""
