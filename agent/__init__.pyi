from .budget import Budget, Price
from .chat import ChatPlanner
from .conversation import Conversation, ConversationError
from .episode import Candidate, Decision, Episode, Observation, Outcome, Step, Task, Usage, Verdict, Workspace
from .grammar import GrammarPlanner
from .loop import run, watch
from .models import ChatModel
from .planner import Planner, PlannerError
from .scripted import ReplayPlanner, ScriptedPlanner
from .tools import PAPER_TOOLS, TOOLS, Tool, ToolError

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
