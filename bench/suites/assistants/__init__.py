"""What assistants cost, and what they are told."""
