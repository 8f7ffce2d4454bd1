"""How a data engine stands, as a page for people who do not use the command line."""
