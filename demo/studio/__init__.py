"""The image with its masks, which a visitor edits by hand: what its script sends, and what it gets back."""
