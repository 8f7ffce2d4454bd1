"""The page: its layout, what its events do, and the parts that are told of each change."""
