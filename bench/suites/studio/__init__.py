"""The page's work area under load."""
