"""Objects that a region's border cuts: their parts, found in neighbouring regions, put together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from agent.core.text.english import format_ids
from agent.core.workspace import Candidate, Workspace
from agent.tools.combine import get_merged_parts, merge_candidates
from agent.tools.regions.region import Region
from sam3_tool.masks.rle import decode_masks
from sam3_tool.phrases import normalize_phrase

SHARED_EDGE = 0.5
"""Two parts meet when they share more than this of the shorter of their edges along the border."""
BORDER_MARGIN = 16
"""Pixels by which a detector's box may be off its mask."""


@dataclass(frozen=True, eq=False)
class _Edges:
    """A mask along the border of a window: bool lines, one for each side that is not the image's."""

    inside: list[np.ndarray]
    """The last lines of the window."""
    outside: list[np.ndarray]
    """The first lines beyond it."""

    @classmethod
    def from_mask(cls, mask: np.ndarray, region: Region) -> "_Edges":
        """`mask`: bool, (H, W)."""
        height, width = mask.shape
        sides = [
            (mask[:, region.x0], mask[:, region.x0 - 1], region.x0 > 0),
            (mask[:, region.x1 - 1], mask[:, region.x1 % width], region.x1 < width),
            (mask[region.y0], mask[region.y0 - 1], region.y0 > 0),
            (mask[region.y1 - 1], mask[region.y1 % height], region.y1 < height),
        ]
        inner = [(inside.copy(), outside.copy()) for inside, outside, is_inner in sides if is_inner]
        return cls([inside for inside, _ in inner], [outside for _, outside in inner])

    def continues_in(self, other: "_Edges") -> bool:
        """Say whether this mask, seen in the window, goes on in the other one beyond its border."""
        return any(
            (inside & outside).sum() > SHARED_EDGE * min(inside.sum(), outside.sum())
            for inside, outside in zip(self.inside, other.outside, strict=True)
        )


def merge_across_border(ids: Sequence[int], workspace: Workspace, region: Region) -> tuple[Workspace, dict[int, int]]:
    """Each of `ids`, found in the window, that goes on beyond it in masks of its phrase: made one mask with those.

    Gives the workspace with the whole masks, and each part's number -> its whole's.
    """
    near = {id: workspace[id] for id in sorted(_find_region_ids(workspace)) if _is_near_border(workspace[id], region)}
    edges = {
        id: _Edges.from_mask(decode_masks([candidate.rle], *candidate.rle.size)[0], region)
        for id, candidate in near.items()
    }
    whole_by_part: dict[int, int] = {}
    for id in [id for id in ids if id in near]:
        continuations = {
            other for other in near if _has_same_phrase(near[id], near[other]) and edges[id].continues_in(edges[other])
        } - {id}
        if continuations:
            parts = _include_merged_parts({id, *continuations}, workspace)
            observation = merge_candidates(tuple(sorted(parts)), workspace)
            workspace = observation.workspace or workspace
            whole_by_part |= {part: whole for whole in observation.shown or () for part in parts}
    return workspace, whole_by_part


def describe_merges(whole_by_part: Mapping[int, int]) -> list[str]:
    """Say which masks are parts of which merged mask.

    >>> describe_merges({3: 8, 7: 8})
    ['3 and 7 are parts of one object across the border, which is mask 8']
    """
    groups = {
        merged_id: [part for part, target in whole_by_part.items() if target == merged_id]
        for merged_id in whole_by_part.values()
    }
    return [
        f"{format_ids(sorted(parts))} are parts of one object across the border, which is mask {merged_id}"
        for merged_id, parts in groups.items()
    ]


def _find_region_ids(workspace: Workspace) -> set[int]:
    return {candidate.id for candidate in workspace if candidate.origin.startswith("segment in ")}


def _is_near_border(candidate: Candidate, region: Region) -> bool:
    """Say by the box alone whether the window's border may cut the object."""
    x0, y0, x1, y1 = candidate.box
    outside = max(region.x0 - x1, x0 - region.x1, region.y0 - y1, y0 - region.y1) > BORDER_MARGIN
    inside = min(x0 - region.x0, region.x1 - x1, y0 - region.y0, region.y1 - y1) > BORDER_MARGIN
    return not (outside or inside)


def _include_merged_parts(ids: set[int], workspace: Workspace) -> set[int]:
    """Add every mask of a region that was merged with one of these before."""
    for candidate in workspace:
        parts = get_merged_parts(candidate)
        if parts & ids and parts <= _find_region_ids(workspace):
            ids = ids | parts
    return ids


def _has_same_phrase(a: Candidate, b: Candidate) -> bool:
    return normalize_phrase(a.phrase) == normalize_phrase(b.phrase)
