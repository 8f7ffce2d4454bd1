"""The review of the data engine: a queue of what people look at, its server, and its page."""
