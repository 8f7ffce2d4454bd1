"""A data engine as its user sees it: begun, added to, asked how it stands, and told to forget."""
