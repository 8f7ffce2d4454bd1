"""What the official code of each metric gave on committed cases."""
