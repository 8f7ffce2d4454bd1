"""What metrics read: the entries, masks and boxes of benchmark files."""
