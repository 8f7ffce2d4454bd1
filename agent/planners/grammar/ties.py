"""When masks measure so alike that a ranking cannot tell which of them is meant."""

from math import isfinite
from typing import cast

import numpy as np

from agent.core.timeline import Timeline
from agent.core.workspace import Workspace
from agent.planners.grammar.plan import Ranked
from agent.tools.geometry.terms import Measure
from agent.tools.geometry.time_words import TrackMeasure

MARGIN = 0.02
"""Places, gaps: how far apart they must be to be told apart, as a share of the image's width, height or diagonal."""
SIZE_MARGIN = 1.05
"""Sizes, widths, heights: their least ratio."""


def split_ties(
    plan: Ranked, ids: tuple[int, ...], to: tuple[int, ...], workspace: Workspace, timeline: Timeline | None = None
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return who belongs to a ranking's result beyond doubt; and all who might, where they are too many to tell.

    Args:
        plan: The ranking.
        ids: The masks that it ranks.
        to: The masks that distances are measured to.
        workspace: Where these masks are.
        timeline: Of a video, the part that the query is about.
    """
    if plan.by == "score":
        return (), ()
    measures = zip(ids, measure_candidates(plan.by, ids, to, workspace, timeline), strict=True)
    values = {id: value for id, value in measures if isfinite(value)}  # as `Rank` does
    ranked = sorted(values, key=lambda id: values[id] if plan.order == "ascending" else -values[id])
    taken = ranked[plan.start - 1 : plan.start - 1 + plan.take]
    others = [id for id in ranked if id not in taken]
    tied = [id for id in taken if any(_is_alike(plan.by, values[id], values[other], workspace) for other in others)]
    rivals = [id for id in others if any(_is_alike(plan.by, values[id], values[other], workspace) for other in taken)]
    return tuple(id for id in taken if id not in tied), tuple(sorted([*tied, *rivals]))


def _is_alike(by: str, first: float, second: float, workspace: Workspace) -> bool:
    match by:
        case "x":
            return abs(first - second) < MARGIN * workspace.width
        case "y":
            return abs(first - second) < MARGIN * workspace.height
        case "distance":
            return abs(first - second) < MARGIN * float((workspace.width**2 + workspace.height**2) ** 0.5)
        case _:
            # sizes differ by ratio: 5 % of a large mask are as hard to see as 5 % of a small one
            return max(first, second) < SIZE_MARGIN * min(first, second)


def measure_candidates(
    by: Measure | TrackMeasure,
    ids: tuple[int, ...],
    to: tuple[int, ...],
    workspace: Workspace,
    timeline: Timeline | None = None,
) -> list[float]:
    """Return one value for each of `ids`, measured as the tool `rank` does. `timeline`: of a video."""
    from agent.tools.geometry.encounters import measure_tracks  # loads OpenCV
    from agent.tools.geometry.measures import measure_masks

    scores = np.array([candidate.score for candidate in workspace.pick(ids)], np.float32)
    if timeline is not None:
        tracks = workspace.get_masklets(ids), workspace.get_masklets(to)
        return [float(value) for value in measure_tracks(by, tracks[0], scores, tracks[1], timeline)]
    sizes = cast(Measure, by)  # an image has no time
    return [float(value) for value in measure_masks(sizes, workspace.get_rles(ids), scores, workspace.get_rles(to))]


def find_holders(
    ids: tuple[int, ...], parts: tuple[int, ...], workspace: Workspace, timeline: Timeline | None = None
) -> tuple[int, ...]:
    """Return which of `ids` have at least one of `parts` inside them, as the tool `relate` tells."""
    from agent.tools.geometry.encounters import find_encounters  # loads OpenCV
    from agent.tools.geometry.predicates import find_related

    if timeline is not None:
        tracks = workspace.get_masklets(parts)
        inside = [find_encounters("inside", tracks, workspace.get_masklets([id]), (), timeline) for id in ids]
        return tuple(id for id, spans in zip(ids, inside, strict=True) if any(spans))
    rles = workspace.get_rles(parts)
    return tuple(id for id in ids if find_related("inside", rles, workspace.get_rles([id])).any())
