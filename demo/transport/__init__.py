"""What goes over the wire between the page and its server, and how little of it there can be."""
