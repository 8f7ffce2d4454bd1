"""SAM 3 and the agent as a service: over HTTP, to other agents over MCP, and to label tools."""
