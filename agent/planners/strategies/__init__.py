"""Ways to spend a language model's tokens: small questions in the place of one long conversation."""
