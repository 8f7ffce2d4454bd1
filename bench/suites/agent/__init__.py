"""What the agent costs beside SAM 3: its steps, its toolsets, and the harness that evaluates it."""
