"""Concepts on the command line: the files, and the command that writes them."""
