"""The default tools: every mask ever found keeps its number, and sets of numbers can be compared and combined."""

from agent.tools.base import Tool
from agent.tools.combine import Combine, Count
from agent.tools.examine import Examine
from agent.tools.finish import Answer, AskUser, ReportNoMask
from agent.tools.refine import Refine
from agent.tools.segment import Segment
from agent.tools.select import Locate, Rank, Relate

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
