"""What a planner can do."""

from agent.protocols import Protocol
from agent.tools.base import Tool, ToolError
from agent.tools.calls import parse_call
from agent.tools.paper import PAPER_TOOLS
from agent.tools.workspace import TOOLS

__all__ = ["PAPER_TOOLS", "TOOLS", "TOOLS_OF", "Tool", "ToolError", "parse_call"]

TOOLS_OF: dict[Protocol, tuple[type[Tool], ...]] = {"workspace": TOOLS, "paper": PAPER_TOOLS}
