"""Many threads' calls, one call on the accelerator: who is served when, and what is refused."""
