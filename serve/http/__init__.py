"""The agent and SAM 3 over HTTP."""
