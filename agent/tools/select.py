"""Tools that choose among masks by where they lie and what they measure."""

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from agent.core.episode import Episode, Observation
from agent.core.errors import ToolError
from agent.core.text.english import format_ids, format_mask_count
from agent.core.tools.examiner import Examiner
from agent.tools.base import ANY_SPELLING, Ids, SmallInt, Tool
from agent.tools.geometry.terms import Measure, Place, Relation
from agent.tools.ids import build_kept_observation, filter_ids, validate_ids
from sam3_tool import Sam3

RELATION_PHRASES = {
    "nearest": "nearest to",
    "farthest": "farthest from",
    "larger": "larger than",
    "smaller": "smaller than",
}
"""Relations that do not read as they are spelled."""


class Relate(Tool):
    """Keep those masks that stand in a relation to at least one of others, by their geometry."""

    name: ClassVar[str] = "relate"
    aliases: ClassVar = ("relation", "filter_by_relation")

    ids: Ids = Field(description="Numbers of the masks to choose from.")
    relation: Annotated[Relation, ANY_SPELLING] = Field(description="How they must stand to the others.")
    to: Ids = Field(description="Numbers of the others.")
    other: Ids = Field(default=[], description="For `between` only: between one of `to` and one of these.")

    def run(self, episode: Episode, sam3: Sam3, planner: Examiner) -> Observation:
        from agent.tools.geometry.predicates import find_related  # loads OpenCV

        if self.other and self.relation != "between":
            raise ToolError(f"`other` is for the relation 'between' only, not {self.relation!r}; leave it out.")
        workspace = episode.workspace
        ids, to, other = (validate_ids(group, workspace) for group in (self.ids, self.to, self.other))
        holds = find_related(self.relation, *(workspace.get_rles(group) for group in (ids, to, other)))
        return build_kept_observation(ids, holds, self._describe_condition(to, other))

    def _describe_condition(self, to: Sequence[int], other: Sequence[int]) -> str:
        relation = RELATION_PHRASES.get(self.relation, self.relation.replace("_", " "))
        if not to:
            return f"{relation} anything, as `to` is empty"
        if self.relation != "between":
            return f"{relation} {format_ids(to, 'or')}"
        return (
            f"between {format_ids(to, 'or')} and {format_ids(other, 'or')}"
            if other
            else f"between two of {format_ids(to)}"
        )


class Locate(Tool):
    """Keep those masks that lie in a part of the picture."""

    name: ClassVar[str] = "locate"
    aliases: ClassVar = ("location", "filter_by_place")

    ids: Ids = Field(description="Numbers of the masks to choose from.")
    place: Annotated[Place, ANY_SPELLING] = Field(description="A half, a quarter or the middle of the picture.")

    def run(self, episode: Episode, sam3: Sam3, planner: Examiner) -> Observation:
        from agent.tools.geometry.predicates import find_located  # loads OpenCV

        ids = validate_ids(self.ids, episode.workspace)
        holds = find_located(self.place, episode.workspace.get_rles(ids))
        return build_kept_observation(ids, holds, f"in the {self.place.replace('_', ' ')} of the picture")


class Rank(Tool):
    """Sort masks and take some: the largest, the second from the left (by x, ascending, start 2), the three highest."""

    name: ClassVar[str] = "rank"
    aliases: ClassVar = ("sort", "order")

    ids: Ids = Field(description="Numbers of the masks to choose from.")
    by: Annotated[Measure, ANY_SPELLING] = Field(
        description="What to sort by: area, centre (y grows downwards), score, gap to the nearest of `to`, or extent."
    )
    order: Annotated[Literal["ascending", "descending"], ANY_SPELLING] = Field(
        description="ascending: the smallest, leftmost, topmost or nearest first."
    )
    start: SmallInt = Field(default=1, ge=1, description="The first place to take, counting from 1.")
    take: SmallInt = Field(default=1, ge=1, description="How many to take.")
    to: Ids = Field(default=[], description="For `distance` only: the masks to measure from.")

    def run(self, episode: Episode, sam3: Sam3, planner: Examiner) -> Observation:
        if self.to and self.by != "distance":
            raise ToolError(f"`to` is for sorting by 'distance' only, not by {self.by!r}; leave it out.")
        ids, to = validate_ids(self.ids, episode.workspace), validate_ids(self.to, episode.workspace)
        scores = np.array([candidate.score for candidate in episode.workspace.pick(ids)], np.float32)
        values = self._measure(ids, scores, to, episode)
        measured = np.isfinite(values)  # an object has no distance to itself
        ids, values = filter_ids(ids, measured), values[measured]
        ranked = np.lexsort((np.array(ids), values if self.order == "ascending" else -values))
        taken = ranked[self.start - 1 : self.start - 1 + self.take]
        return Observation(self._describe_ranking(ids, values, taken), shown=tuple(ids[index] for index in taken))

    def _measure(self, ids: Sequence[int], scores: np.ndarray, to: Sequence[int], episode: Episode) -> np.ndarray:
        from agent.tools.geometry.measures import measure_masks  # loads OpenCV

        return measure_masks(self.by, episode.workspace.get_rles(ids), scores, episode.workspace.get_rles(to))

    def _describe_ranking(self, ids: Sequence[int], values: np.ndarray, taken: np.ndarray) -> str:
        last = self.start + len(taken) - 1
        by = f"By {self.by.replace('_', ' ')}, {self.order}"
        if len(taken) == 0:
            nothing = "" if self.by != "distance" or self.to else ", as `to` is empty"
            return f"{by}, there is no place {self.start} among {self._format_count(len(ids))}{nothing}."
        places = (
            f"place {last} of {len(ids)} is" if len(taken) == 1 else f"places {self.start} to {last} of {len(ids)} are"
        )
        return f"{by}, {places} {', '.join(f'{ids[index]} ({self._format_value(values[index])})' for index in taken)}."

    def _format_count(self, count: int) -> str:
        return format_mask_count(count)

    def _format_value(self, value: float) -> str:
        match self.by:
            case "score":
                return f"{value:.2f}"
            case "size":
                return f"{value:.0f} pixels"
            case _:
                return f"{value:.0f} px"
