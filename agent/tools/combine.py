"""Tools that take sets of masks as sets of objects: put them together, count them."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from agent.core.episode import Episode, Observation
from agent.core.errors import ToolError
from agent.core.text.english import format_ids
from agent.core.tools.examiner import Examiner
from agent.core.workspace import Candidate, Workspace
from agent.tools.base import ANY_SPELLING, Ids, Tool
from agent.tools.geometry.terms import SAME_OBJECT
from agent.tools.ids import describe_ids, filter_ids, validate_ids
from sam3_tool import Masklet, Sam3
from sam3_tool.masks.boxes import masks_to_boxes
from sam3_tool.masks.rle import compute_ious, decode_masks, merge_masks


class Combine(Tool):
    """Put two sets of masks together as sets of objects, where masks that mostly coincide are one object.

    union: all of both; minus: those of a that b has not; intersect: those of a that b has too; merge: one mask with a
    number of its own out of all pixels, for an object that was found in parts.
    """

    name: ClassVar[str] = "combine"
    aliases: ClassVar = ("combine_masks", "set_operation")
    field_aliases: ClassVar = {"operation": "op", "operator": "op"}

    op: Annotated[Literal["union", "minus", "intersect", "merge"], ANY_SPELLING] = Field(description="What to do.")
    a: Ids = Field(description="Numbers of masks.")
    b: Ids = Field(description="Numbers of masks.")

    def run(self, episode: Episode, sam3: Sam3, planner: Examiner) -> Observation:
        workspace = episode.workspace
        a, b = validate_ids(self.a, workspace), validate_ids(self.b, workspace)
        if self.op == "merge":
            return merge_candidates(tuple(dict.fromkeys(a + b)), workspace)
        same = find_same_objects(a, b, workspace)
        match self.op:
            case "union":
                ids, what = a + filter_ids(b, np.logical_not(same.any(axis=0))), "together"
            case "minus":
                ids, what = filter_ids(a, np.logical_not(same.any(axis=1))), "the first without the second"
            case "intersect":
                ids, what = filter_ids(a, np.asarray(same.any(axis=1))), "what both have"
        return Observation(f"Of {list(a)} and {list(b)}, {what}: {describe_ids(ids)}.", shown=ids)


class Count(Tool):
    """Say how many masks these are."""

    name: ClassVar[str] = "count"

    ids: Ids = Field(description="Numbers of masks.")

    def run(self, episode: Episode, sam3: Sam3, planner: Examiner) -> Observation:
        ids = validate_ids(self.ids, episode.workspace)
        return Observation(f"{describe_ids(ids)}.", shown=ids)


def find_same_objects(a: Sequence[int], b: Sequence[int], workspace: Workspace) -> np.ndarray:
    """bool, (len(a), len(b)): whether two masks are one object; of a video, whether they are that on all frames."""
    if any(candidate.masklet for candidate in workspace):
        from agent.tools.geometry.tracks import is_same_track  # loads OpenCV

        tracks = workspace.get_masklets(a), workspace.get_masklets(b)
        return np.array([[is_same_track(x, y) for y in tracks[1]] for x in tracks[0]], bool).reshape(len(a), len(b))
    overlap = compute_ious(workspace.get_rles(a), workspace.get_rles(b))
    return np.asarray((overlap > SAME_OBJECT) | np.equal.outer(np.array(a, int), np.array(b, int)))


MERGE_ORIGIN = "merge of "
"""How the origin of a merged mask begins; the numbers of its parts follow."""


def get_merged_parts(candidate: Candidate) -> set[int]:
    """The numbers of the masks it was merged from; none for any other."""
    is_merge = candidate.origin.startswith(MERGE_ORIGIN)
    return set(map(int, candidate.origin.removeprefix(MERGE_ORIGIN).split(", "))) if is_merge else set()


def merge_candidates(ids: tuple[int, ...], workspace: Workspace) -> Observation:
    """One mask of all pixels, with the best score among its parts; the known one where they were merged before."""
    if not ids:
        raise ToolError("There is nothing to merge, as `a` and `b` are empty; give the numbers of the parts.")
    if len(ids) == 1:
        return Observation(f"{ids[0]} alone, so there is nothing to merge.", shown=ids)
    origin = f"{MERGE_ORIGIN}{', '.join(map(str, ids))}"
    known = next((candidate.id for candidate in workspace if candidate.origin == origin), None)
    if known is not None:
        return Observation(f"{format_ids(ids)} are mask {known} already.", shown=(known,))
    whole = _merge_parts(workspace.pick(ids), len(workspace) + 1, origin, workspace)
    grown = replace(workspace, candidates=(*workspace.candidates, whole))
    return Observation(f"{format_ids(ids)} together are mask {whole.id}.", workspace=grown, shown=(whole.id,))


def _merge_parts(parts: Sequence[Candidate], id: int, origin: str, workspace: Workspace) -> Candidate:
    phrase = ", ".join(dict.fromkeys(part.phrase for part in parts))
    if masklets := [part.masklet for part in parts if part.masklet]:
        return Candidate.from_masklet(id, merge_masklets(masklets), phrase, origin)
    rle = merge_masks([part.rle for part in parts])
    x0, y0, x1, y1 = masks_to_boxes(decode_masks([rle], workspace.height, workspace.width))[0].tolist()
    score, likely = max(part.score for part in parts), [part.probability for part in parts]
    # a part that is wrong makes the whole wrong, so that it is as likely right as the least likely of them
    known = [part for part in likely if part is not None]
    probability = min(known) if len(known) == len(likely) else None
    labels = {part.label for part in parts}
    label = labels.pop() if len(labels) == 1 else ""
    return Candidate(id, rle, (x0, y0, x1, y1), score, phrase, origin, None, probability, label)


def merge_masklets(parts: Sequence[Masklet]) -> Masklet:
    """Put all pixels of all frames together; scores are the highest among the parts."""
    frames = tuple(sorted({frame for part in parts for frame in part.frames}))
    places = [[(part, place) for part in parts if (place := part.find_place(frame)) is not None] for frame in frames]
    return Masklet(
        frames,
        tuple(merge_masks([part.rles[place] for part, place in seen]) for seen in places),
        tuple(max(part.scores[place] for part, place in seen) for seen in places),
        max(part.score for part in parts),
    )
