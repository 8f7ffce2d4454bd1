"""The default tools: every mask ever found keeps its number, and sets of numbers can be compared and combined."""

from agent.tools.base import Tool
from agent.tools.choosing import Locate, Rank, Relate
from agent.tools.combining import Combine, Count
from agent.tools.endings import Answer, AskUser, ReportNoMask
from agent.tools.judging import Examine
from agent.tools.refine import Refine
from agent.tools.segment import Segment

__all__ = [
    "TOOLS",
    "Answer",
    "AskUser",
    "Combine",
    "Count",
    "Examine",
    "Locate",
    "Rank",
    "Refine",
    "Relate",
    "ReportNoMask",
    "Segment",
]

TOOLS: tuple[type[Tool], ...] = (
    *(Segment, Refine, Relate, Locate, Rank, Combine, Count, Examine),
    *(Answer, ReportNoMask, AskUser),
)
