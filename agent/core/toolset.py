"""Which set of tools a planner speaks, by name; `TOOLSETS` of `agent.tools` has the tools, which take time to load."""

from typing import Literal

Toolset = Literal["workspace", "paper"]
