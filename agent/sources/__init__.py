"""What a person points at: files, folders, patterns, lists, addresses, standard input; each image or video in it."""
