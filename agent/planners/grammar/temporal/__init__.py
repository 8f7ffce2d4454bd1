"""What a query says of the course of time: read before the grammar, which knows single images, reads the rest."""
