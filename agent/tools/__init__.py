"""What a planner can do."""

from agent.protocols import Toolset
from agent.tools.base import Tool, ToolError
from agent.tools.calls import parse_call
from agent.tools.paper import PAPER_TOOLS
from agent.tools.workspace import TOOLS

__all__ = ["PAPER_TOOLS", "TOOLS", "TOOLSETS", "Tool", "ToolError", "parse_call"]

TOOLSETS: dict[Toolset, tuple[type[Tool], ...]] = {"workspace": TOOLS, "paper": PAPER_TOOLS}
