from .conversation.conversation import Conversation
from .conversation.drawing import Drawing
from .conversation.events import Event, ImageShown
from .conversation.labels import GivenMask
from .core.budget import Budget, Price
from .core.context import ConversationContext, PastTurn
from .core.episode import Decision, Episode, Observation, Step, Task
from .core.errors import ConversationError, OutputError, PlannerError, ToolError, UsageError
from .core.outcome import Outcome
from .core.planner import Planner
from .core.timeline import Timeline
from .core.tools.calls import InvalidCall, ToolCall, ValidCall
from .core.tools.examiner import Examiner
from .core.tools.tool import Tool
from .core.tools.toolset import PromptName, Toolset
from .core.tools.verdict import Verdict
from .core.usage import Usage
from .core.workspace import Candidate, SearchRecord, Workspace
from .doubt.policy import AnswerDoubt, DoubtPolicy, apply_doubt, read_doubt
from .loop import run, watch
from .models.base import ChatModel
from .planners.chat.coordinates import Convention, CoordinateFrame
from .planners.chat.examination import VerdictRequest
from .planners.chat.planner import ChatPlanner
from .planners.chat.scripted_model import ScriptedModel
from .planners.chat.views import View
from .planners.grammar.planner import GrammarPlanner
from .planners.loading import load_model, load_planner
from .planners.scripted import ReplayPlanner, ScriptedPlanner, ScriptEntry
from .planners.strategies.options import Strategies
from .planners.strategies.planner import StrategyPlanner
from .planners.strategies.thesaurus import Thesaurus
from .records.episode_file import Transcript, load_episode, save_episode
from .records.provenance import Provenance
from .report.html import write_html
from .sources.answering import Source, SourceAnswer, segment_source
from .tools.toolsets import PAPER, VIDEO, WORKSPACE, parse_toolset

__all__ = [
    "PAPER",
    "VIDEO",
    "WORKSPACE",
    "AnswerDoubt",
    "Budget",
    "Candidate",
    "ChatModel",
    "ChatPlanner",
    "Convention",
    "Conversation",
    "ConversationContext",
    "ConversationError",
    "CoordinateFrame",
    "Decision",
    "DoubtPolicy",
    "Drawing",
    "Episode",
    "Event",
    "Examiner",
    "GivenMask",
    "GrammarPlanner",
    "ImageShown",
    "InvalidCall",
    "Observation",
    "Outcome",
    "OutputError",
    "PastTurn",
    "Planner",
    "PlannerError",
    "Price",
    "PromptName",
    "Provenance",
    "ReplayPlanner",
    "ScriptEntry",
    "ScriptedModel",
    "ScriptedPlanner",
    "SearchRecord",
    "Source",
    "SourceAnswer",
    "Step",
    "Strategies",
    "StrategyPlanner",
    "Task",
    "Thesaurus",
    "Timeline",
    "Tool",
    "ToolCall",
    "ToolError",
    "Toolset",
    "Transcript",
    "Usage",
    "UsageError",
    "ValidCall",
    "Verdict",
    "VerdictRequest",
    "View",
    "Workspace",
    "apply_doubt",
    "load_episode",
    "load_model",
    "load_planner",
    "parse_toolset",
    "read_doubt",
    "run",
    "save_episode",
    "segment_source",
    "watch",
    "write_html",
]
