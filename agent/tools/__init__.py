"""The tools that a planner can call, and sets of them."""

from agent.core.errors import ToolError
from agent.core.tools.calls import parse_call
from agent.core.tools.tool import Tool
from agent.core.tools.toolset import Toolset
from agent.tools.toolsets import PAPER, VIDEO, WORKSPACE, parse_toolset

__all__ = ["PAPER", "VIDEO", "WORKSPACE", "Tool", "ToolError", "Toolset", "parse_call", "parse_toolset"]
