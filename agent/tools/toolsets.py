"""The sets of tools of this project, and sets by their names."""

from collections.abc import Mapping

from agent.core.errors import PlannerError
from agent.core.tools.tool import Tool
from agent.core.tools.toolset import PromptName, Toolset
from agent.tools import paper
from agent.tools.combine import Combine, Count
from agent.tools.examine import Examine
from agent.tools.finish import Answer, AskUser, ReportNoMask
from agent.tools.reading.tool import ReadText
from agent.tools.refine import Refine
from agent.tools.segment import Segment
from agent.tools.select import Locate, Rank, Relate
from agent.tools.video.finish import AnswerWithTracks, ReportNoTrack
from agent.tools.video.look import Look
from agent.tools.video.refine import RefineTrack
from agent.tools.video.segment import SegmentVideo
from agent.tools.video.select import FilterByMotion, LocateTracks, RankTracks, RelateTracks
from sam3_tool.plugins import PluginError, load_plugin

__all__ = [
    "PAPER",
    "VIDEO",
    "WORKSPACE",
    "Answer",
    "AnswerWithTracks",
    "AskUser",
    "Combine",
    "Count",
    "Examine",
    "FilterByMotion",
    "Locate",
    "LocateTracks",
    "Look",
    "Rank",
    "RankTracks",
    "ReadText",
    "Refine",
    "RefineTrack",
    "Relate",
    "RelateTracks",
    "ReportNoMask",
    "ReportNoTrack",
    "Segment",
    "SegmentVideo",
    "parse_saved_toolset",
    "parse_toolset",
]

WORKSPACE = Toolset(
    "workspace",
    (Segment, Refine, Relate, Locate, Rank, Combine, Count, Examine, Answer, ReportNoMask, AskUser),
)
"""The default: every mask ever found keeps its id, and sets of ids can be compared and combined."""
PAPER = Toolset(
    "paper",
    (paper.SegmentPhrase, paper.ExamineEachMask, paper.SelectMasksAndReturn, paper.ReportNoMask),
    prompt="paper",
)
"""The four published tools, so that results stay comparable."""
VIDEO = Toolset(
    "video",
    (
        *(SegmentVideo, RefineTrack, Look, FilterByMotion, RelateTracks, LocateTracks, RankTracks),
        *(Combine, Count, Examine, AnswerWithTracks, ReportNoTrack, AskUser),
    ),
    prompt="video",
)
"""For videos: every track ever found keeps its id on all frames, and tools know what happens in the course of time."""
UNLISTED: Mapping[PromptName, tuple[type[Tool], ...]] = {"workspace": (ReadText,), "paper": (), "video": ()}
"""Tools that the grammar calls where a query needs them; no language model is told of them unless it is asked for."""
_BASES = {toolset.name: toolset for toolset in (WORKSPACE, PAPER, VIDEO)}


def parse_toolset(text: str) -> Toolset:
    """Find the set of tools that a text names.

    Args:
        text: 'workspace', 'paper' or 'video', and after a '+' each tool that is added, by its name among the entry
            points `sam3_agent.tools`, e.g. 'workspace+ocr'.

    Returns:
        The toolset. Its name is `text`.

    Raises:
        PlannerError: There is no such set, no such tool, or the set has the tool already.
        MissingPackageError: An added tool needs a package that is not installed.

    Example:
        >>> parse_toolset("paper+count").tools[-1].__name__
        'Count'
    """
    base, *names = text.split("+")
    if base not in _BASES:
        raise PlannerError(
            f"there is no toolset {base!r}; there are 'workspace', 'paper' and 'video', each also with tools of other"
            " packages, e.g. 'workspace+NAME'"
        )
    try:
        added = [*map(_load_tool, names)]
        for tool in added:
            tool.check_packages()
        return Toolset(text, (*_BASES[base].tools, *added), prompt=_BASES[base].prompt)
    except (PluginError, ValueError) as error:
        raise PlannerError(f"the toolset {text!r} cannot be had: {error}") from error


def parse_saved_toolset(name: str) -> Toolset:
    """Find the set of tools that a saved file names.

    A tool that is not installed here is left out, for what was done with it can still be looked at.

    Raises:
        ValueError: There is no such set.
    """
    base, *names = name.split("+")
    if base not in _BASES:
        raise ValueError(f"there is no toolset {base!r}")
    tools = list(_BASES[base].tools)
    for added in names:
        try:
            tools.append(_load_tool(added))
        except (PluginError, ValueError):
            continue
    prompt = _BASES[base].prompt
    return Toolset(name, tuple(dict.fromkeys(tools)), prompt=prompt, unlisted=UNLISTED[prompt])


def _load_tool(name: str) -> type[Tool]:
    tool = load_plugin("tools", name)
    if not (isinstance(tool, type) and issubclass(tool, Tool)):
        raise ValueError(f"the entry point {name!r} is no Tool class")
    return tool
