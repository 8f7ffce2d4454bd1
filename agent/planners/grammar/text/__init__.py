"""Text to text: each module brings one thing that people write in several ways to one of them."""
