"""Who reviews, how they work, and how much is left for them."""
