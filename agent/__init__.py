"""An agent that answers a query about a picture with masks: a planner decides, tools do, SAM 3 segments."""

from typing import TYPE_CHECKING, Any

from agent.budget import Budget, Price
from agent.episode import Candidate, Decision, Episode, Observation, Outcome, Step, Task, Usage, Workspace
from agent.loop import run, watch
from agent.models import ChatModel
from agent.planner import Planner, PlannerError, Verdict
from agent.scripted import ReplayPlanner, ScriptedPlanner
from agent.tools import PAPER_TOOLS, TOOLS, Tool, ToolError

if TYPE_CHECKING:
    from agent.chat import ChatPlanner
    from agent.grammar import GrammarPlanner

__all__ = [
    "PAPER_TOOLS",
    "TOOLS",
    "Budget",
    "Candidate",
    "ChatModel",
    "ChatPlanner",
    "Decision",
    "Episode",
    "GrammarPlanner",
    "Observation",
    "Outcome",
    "Planner",
    "PlannerError",
    "Price",
    "ReplayPlanner",
    "ScriptedPlanner",
    "Step",
    "Task",
    "Tool",
    "ToolError",
    "Usage",
    "Verdict",
    "Workspace",
    "run",
    "watch",
]


def __getattr__(name: str) -> Any:
    """These planners on first use: nothing of theirs, a parser or OpenCV, is needed to run any other one."""
    match name:
        case "GrammarPlanner":
            from agent.grammar import GrammarPlanner

            return GrammarPlanner
        case "ChatPlanner":
            from agent.chat import ChatPlanner

            return ChatPlanner
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
