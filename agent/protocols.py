"""Which set of tools a planner speaks, by name; `TOOLS_OF` of `agent.tools` has the tools, which take time to load."""

from typing import Literal

Protocol = Literal["workspace", "paper"]
