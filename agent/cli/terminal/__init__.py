"""The terminal: lines for a person, images among them, standard streams, and signals."""
