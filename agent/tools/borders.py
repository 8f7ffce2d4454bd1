"""Objects that a region's border cuts: their parts, found in neighbouring regions, put together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from agent.episode import Candidate, Workspace
from agent.tools.combining import merged, parts_of
from agent.tools.window import Window
from agent.tools.words import listed
from sam3_tool.backends.scripted import plain
from sam3_tool.rle import decode_all

SHARED = 0.5
"""Two parts meet when they share more than this of the shorter of their edges along the border."""
MARGIN = 16
"""Pixels by which a detector's box may be off its mask."""


@dataclass(frozen=True, eq=False)
class _Edges:
    """A mask along the border of a window: bool lines, one for each side that is not the picture's."""

    inside: list[np.ndarray]
    """The last lines of the window."""
    outside: list[np.ndarray]
    """The first lines beyond it."""

    @classmethod
    def of(cls, mask: np.ndarray, window: Window) -> "_Edges":
        """`mask`: bool, (H, W)."""
        height, width = mask.shape
        sides = [
            (mask[:, window.x0], mask[:, window.x0 - 1], window.x0 > 0),
            (mask[:, window.x1 - 1], mask[:, window.x1 % width], window.x1 < width),
            (mask[window.y0], mask[window.y0 - 1], window.y0 > 0),
            (mask[window.y1 - 1], mask[window.y1 % height], window.y1 < height),
        ]
        inner = [(inside.copy(), outside.copy()) for inside, outside, is_inner in sides if is_inner]
        return cls([inside for inside, _ in inner], [outside for _, outside in inner])

    def meets(self, other: "_Edges") -> bool:
        """Whether this mask, seen in the window, goes on in the other one beyond its border."""
        return any(
            (inside & outside).sum() > SHARED * min(inside.sum(), outside.sum())
            for inside, outside in zip(self.inside, other.outside, strict=True)
        )


def wholes(ids: Sequence[int], workspace: Workspace, window: Window) -> tuple[Workspace, dict[int, int]]:
    """Each of `ids`, found in the window, that goes on beyond it in masks of its phrase: made one mask with those.

    Gives the workspace with the whole masks, and each part's number -> its whole's.
    """
    near = {id: workspace[id] for id in sorted(_of_regions(workspace)) if _near_border(workspace[id], window)}
    edges = {id: _Edges.of(decode_all([one.rle], *one.rle.size)[0], window) for id, one in near.items()}
    found: dict[int, int] = {}
    for id in [id for id in ids if id in near]:
        beyond = {other for other in near if _alike(near[id], near[other]) and edges[id].meets(edges[other])} - {id}
        if beyond:
            parts = _and_their_parts({id, *beyond}, workspace)
            observation = merged(tuple(sorted(parts)), workspace)
            workspace = observation.workspace or workspace
            found |= {part: whole for whole in observation.shown or () for part in parts}
    return workspace, found


def beyond_in_words(whole: Mapping[int, int]) -> list[str]:
    """
    >>> beyond_in_words({3: 8, 7: 8})
    ['3 and 7 are parts of one object across the border, which is mask 8']
    """
    groups = {number: [part for part, one in whole.items() if one == number] for number in whole.values()}
    return [
        f"{listed(sorted(parts))} are parts of one object across the border, which is mask {number}"
        for number, parts in groups.items()
    ]


def _of_regions(workspace: Workspace) -> set[int]:
    return {candidate.id for candidate in workspace if candidate.origin.startswith("segment in ")}


def _near_border(candidate: Candidate, window: Window) -> bool:
    """Whether the window's border may cut its object, by its box alone."""
    x0, y0, x1, y1 = candidate.box
    outside = max(window.x0 - x1, x0 - window.x1, window.y0 - y1, y0 - window.y1) > MARGIN
    inside = min(x0 - window.x0, window.x1 - x1, y0 - window.y0, window.y1 - y1) > MARGIN
    return not (outside or inside)


def _and_their_parts(ids: set[int], workspace: Workspace) -> set[int]:
    """With every mask of a region that one of them was made one with before."""
    for candidate in workspace:
        parts = parts_of(candidate)
        if parts & ids and parts <= _of_regions(workspace):
            ids = ids | parts
    return ids


def _alike(a: Candidate, b: Candidate) -> bool:
    return plain(a.phrase) == plain(b.phrase)
