"""The tools that a planner can call, and sets of them."""

from agent.core.calls import parse_call
from agent.core.errors import ToolError
from agent.core.tool import Tool
from agent.core.toolset import Toolset
from agent.tools.toolsets import PAPER, VIDEO, WORKSPACE, parse_toolset

__all__ = ["PAPER", "VIDEO", "WORKSPACE", "Tool", "ToolError", "Toolset", "parse_call", "parse_toolset"]
