"""What a planner can do."""

from agent.core.errors import ToolError
from agent.core.toolset import Toolset
from agent.tools.base import Tool
from agent.tools.paper import PAPER_TOOLS
from agent.tools.parsing import parse_call
from agent.tools.toolsets import TOOLS

__all__ = ["PAPER_TOOLS", "TOOLS", "TOOLSETS", "Tool", "ToolError", "parse_call"]

TOOLSETS: dict[Toolset, tuple[type[Tool], ...]] = {"workspace": TOOLS, "paper": PAPER_TOOLS}
