"""Annotation of whole folders: phrases or queries over any number of images, in shards that survive every end."""
