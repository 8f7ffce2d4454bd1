"""What a browser keeps of the work on the page by itself, and how that becomes a place in the strip again."""
