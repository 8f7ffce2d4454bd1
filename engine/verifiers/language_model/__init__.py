"""A language model as a verifier: what it is shown, what it is asked, and its answers on file."""
