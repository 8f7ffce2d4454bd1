"""Parts for sam3-agent from a package of their own."""
