"""A data engine as its user sees it: begun, added to, and asked how it stands."""
