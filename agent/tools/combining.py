"""Tools that take sets of masks as sets of objects: put them together, count them."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from agent.episode import Candidate, Episode, Observation, Workspace
from agent.planner import Planner
from agent.tools.base import Ids, Tool, ToolError, forgiving_word
from agent.tools.ids import in_words, known_ids, where
from agent.tools.relations import SAME_OBJECT
from agent.tools.words import listed
from sam3_tool import Sam3
from sam3_tool.boxes import around
from sam3_tool.rle import decode_all, ious, merge


class Combine(Tool):
    """Put two sets of masks together as sets of objects, where masks that mostly coincide are one object.

    union: all of both; minus: those of a that b has not; intersect: those of a that b has too; merge: one mask with a
    number of its own out of all pixels, for an object that was found in parts.
    """

    name: ClassVar[str] = "combine"
    aliases: ClassVar = ("combine_masks", "set_operation")
    field_aliases: ClassVar = {"operation": "op", "operator": "op"}

    op: Annotated[Literal["union", "minus", "intersect", "merge"], forgiving_word] = Field(description="What to do.")
    a: Ids = Field(description="Numbers of masks.")
    b: Ids = Field(description="Numbers of masks.")

    def run(self, episode: Episode, sam3: Sam3, planner: Planner) -> Observation:
        workspace = episode.workspace
        a, b = known_ids(self.a, workspace), known_ids(self.b, workspace)
        if self.op == "merge":
            return merged(tuple(dict.fromkeys(a + b)), workspace)
        same = same_objects(a, b, workspace)
        match self.op:
            case "union":
                ids, what = a + where(b, np.logical_not(same.any(axis=0))), "together"
            case "minus":
                ids, what = where(a, np.logical_not(same.any(axis=1))), "the first without the second"
            case "intersect":
                ids, what = where(a, np.asarray(same.any(axis=1))), "what both have"
        return Observation(f"Of {list(a)} and {list(b)}, {what}: {in_words(ids)}.", shown=ids)


class Count(Tool):
    """Say how many masks these are."""

    name: ClassVar[str] = "count"

    ids: Ids = Field(description="Numbers of masks.")

    def run(self, episode: Episode, sam3: Sam3, planner: Planner) -> Observation:
        ids = known_ids(self.ids, episode.workspace)
        return Observation(f"{in_words(ids)}.", shown=ids)


def same_objects(a: Sequence[int], b: Sequence[int], workspace: Workspace) -> np.ndarray:
    """bool, (len(a), len(b)): whether two masks are one object."""
    overlap = ious(workspace.rles(a), workspace.rles(b))
    return np.asarray((overlap > SAME_OBJECT) | np.equal.outer(np.array(a, int), np.array(b, int)))


MERGED = "merge of "
"""How the origin of a merged mask begins; the numbers of its parts follow."""


def parts_of(candidate: Candidate) -> set[int]:
    """The numbers of the masks it was merged from; none for any other."""
    merged = candidate.origin.startswith(MERGED)
    return set(map(int, candidate.origin.removeprefix(MERGED).split(", "))) if merged else set()


def merged(ids: tuple[int, ...], workspace: Workspace) -> Observation:
    """One mask of all pixels, with the best score among its parts; the known one where they were merged before."""
    if not ids:
        raise ToolError("There is nothing to merge, as `a` and `b` are empty; give the numbers of the parts.")
    if len(ids) == 1:
        return Observation(f"{ids[0]} alone, so there is nothing to merge.", shown=ids)
    origin = f"{MERGED}{', '.join(map(str, ids))}"
    known = next((candidate.id for candidate in workspace if candidate.origin == origin), None)
    if known is not None:
        return Observation(f"{listed(ids)} are mask {known} already.", shown=(known,))
    id, parts = len(workspace) + 1, workspace.pick(ids)
    rle = merge([part.rle for part in parts])
    x0, y0, x1, y1 = around(decode_all([rle], workspace.height, workspace.width))[0].tolist()
    phrase = ", ".join(dict.fromkeys(part.phrase for part in parts))
    whole = Candidate(id, rle, (x0, y0, x1, y1), max(part.score for part in parts), phrase, origin)
    grown = replace(workspace, candidates=(*workspace.candidates, whole))
    return Observation(f"{listed(ids)} together are mask {id}.", workspace=grown, shown=(id,))
