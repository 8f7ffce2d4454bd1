"""Files that hold an episode or the replies of a model, and read back exactly."""
