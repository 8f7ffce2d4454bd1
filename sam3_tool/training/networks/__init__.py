"""The networks that learn: the small SAM 3, its detector with heads for training, and its tracker head."""
