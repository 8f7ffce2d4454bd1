"""Image files of all kinds as upright RGB pixels, with a note on everything that had to be decided."""
