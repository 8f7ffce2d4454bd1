"""Who judges masks and pairs in a person's place: SAM 3's own signals, a fit of them, or a language model."""
