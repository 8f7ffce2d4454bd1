"""Everything in an image without a prompt: SAM's automatic mask generation, also known as everything mode."""
