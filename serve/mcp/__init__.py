"""The tools of the agent for assistants that speak the Model Context Protocol."""
