from .conversation.conversation import Conversation
from .core.budget import Budget, Price
from .core.episode import Candidate, Decision, Episode, Observation, Outcome, Step, Task, Usage, Verdict, Workspace
from .core.errors import ConversationError, OutputError, PlannerError, ToolError, UsageError
from .core.planner import Planner
from .grammar import GrammarPlanner
from .loop import run, watch
from .models.base import ChatModel
from .planners.chat.planner import ChatPlanner
from .planners.scripted import ReplayPlanner, ScriptedPlanner
from .tools import PAPER_TOOLS, TOOLS, Tool

__all__ = [
    "PAPER_TOOLS",
    "TOOLS",
    "Budget",
    "Candidate",
    "ChatModel",
    "ChatPlanner",
    "Conversation",
    "ConversationError",
    "Decision",
    "Episode",
    "GrammarPlanner",
    "Observation",
    "Outcome",
    "OutputError",
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
    "UsageError",
    "Verdict",
    "Workspace",
    "run",
    "watch",
]
