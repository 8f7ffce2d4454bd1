"""`sam3-agent chat`: a conversation in a terminal."""
