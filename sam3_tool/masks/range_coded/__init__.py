"""Masks as Meta's SAM API writes them into text: range-coded bits in base 85."""
