"""The images of a data engine: where each lies, which of them nearly agree, and in which split each is."""
