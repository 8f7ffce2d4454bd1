"""Several processes behind one address: each has a GPU of its own, and a request goes to where its image is."""
