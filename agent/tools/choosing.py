"""Tools that choose among masks by where they lie and what they measure."""

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from agent.episode import Episode, Observation
from agent.planner import Planner
from agent.tools.base import Ids, Number, Tool, ToolError, forgiving_word
from agent.tools.ids import kept_of, known_ids, where
from agent.tools.relations import Measure, Place, Relation
from agent.tools.words import listed, masks
from sam3_tool import Sam3

IN_WORDS = {"nearest": "nearest to", "farthest": "farthest from", "larger": "larger than", "smaller": "smaller than"}
"""Relations that do not read as they are spelled."""


class Relate(Tool):
    """Keep those masks that stand in a relation to at least one of others, by their geometry."""

    name: ClassVar[str] = "relate"
    aliases: ClassVar = ("relation", "filter_by_relation")

    ids: Ids = Field(description="Numbers of the masks to choose from.")
    relation: Annotated[Relation, forgiving_word] = Field(description="How they must stand to the others.")
    to: Ids = Field(description="Numbers of the others.")
    other: Ids = Field(default=[], description="For `between` only: between one of `to` and one of these.")

    def run(self, episode: Episode, sam3: Sam3, planner: Planner) -> Observation:
        from agent.tools.geometry import related  # loads OpenCV

        if self.other and self.relation != "between":
            raise ToolError(f"`other` is for the relation 'between' only, not {self.relation!r}; leave it out.")
        workspace = episode.workspace
        ids, to, other = (known_ids(group, workspace) for group in (self.ids, self.to, self.other))
        holds = related(self.relation, *(workspace.rles(group) for group in (ids, to, other)))
        return kept_of(ids, holds, self._words(to, other))

    def _words(self, to: Sequence[int], other: Sequence[int]) -> str:
        relation = IN_WORDS.get(self.relation, self.relation.replace("_", " "))
        if not to:
            return f"{relation} anything, as `to` is empty"
        if self.relation != "between":
            return f"{relation} {listed(to, 'or')}"
        return f"between {listed(to, 'or')} and {listed(other, 'or')}" if other else f"between two of {listed(to)}"


class Locate(Tool):
    """Keep those masks that lie in a part of the picture."""

    name: ClassVar[str] = "locate"
    aliases: ClassVar = ("location", "filter_by_place")

    ids: Ids = Field(description="Numbers of the masks to choose from.")
    place: Annotated[Place, forgiving_word] = Field(description="A half, a quarter or the middle of the picture.")

    def run(self, episode: Episode, sam3: Sam3, planner: Planner) -> Observation:
        from agent.tools.geometry import located  # loads OpenCV

        ids = known_ids(self.ids, episode.workspace)
        holds = located(self.place, episode.workspace.rles(ids))
        return kept_of(ids, holds, f"in the {self.place.replace('_', ' ')} of the picture")


class Rank(Tool):
    """Sort masks and take some: the largest, the second from the left (by x, ascending, start 2), the three highest."""

    name: ClassVar[str] = "rank"
    aliases: ClassVar = ("sort", "order")

    ids: Ids = Field(description="Numbers of the masks to choose from.")
    by: Annotated[Measure, forgiving_word] = Field(
        description="What to sort by: area, centre (y grows downwards), score, gap to the nearest of `to`, or extent."
    )
    order: Annotated[Literal["ascending", "descending"], forgiving_word] = Field(
        description="ascending: the smallest, leftmost, topmost or nearest first."
    )
    start: Number = Field(default=1, ge=1, description="The first place to take, counting from 1.")
    take: Number = Field(default=1, ge=1, description="How many to take.")
    to: Ids = Field(default=[], description="For `distance` only: the masks to measure from.")

    def run(self, episode: Episode, sam3: Sam3, planner: Planner) -> Observation:
        from agent.tools.geometry import measure  # loads OpenCV

        if self.to and self.by != "distance":
            raise ToolError(f"`to` is for sorting by 'distance' only, not by {self.by!r}; leave it out.")
        workspace = episode.workspace
        ids, to = known_ids(self.ids, workspace), known_ids(self.to, workspace)
        scores = np.array([candidate.score for candidate in workspace.pick(ids)], np.float32)
        values = measure(self.by, workspace.rles(ids), scores, workspace.rles(to))
        measured = np.isfinite(values)  # an object has no distance to itself
        ids, values = where(ids, measured), values[measured]
        ranked = np.lexsort((np.array(ids), values if self.order == "ascending" else -values))
        taken = ranked[self.start - 1 : self.start - 1 + self.take]
        return Observation(self._text(ids, values, taken), shown=tuple(ids[index] for index in taken))

    def _text(self, ids: Sequence[int], values: np.ndarray, taken: np.ndarray) -> str:
        last = self.start + len(taken) - 1
        by = f"By {self.by}, {self.order}"
        if len(taken) == 0:
            nothing = "" if self.by != "distance" or self.to else ", as `to` is empty"
            return f"{by}, there is no place {self.start} among {masks(len(ids))}{nothing}."
        places = (
            f"place {last} of {len(ids)} is" if len(taken) == 1 else f"places {self.start} to {last} of {len(ids)} are"
        )
        return f"{by}, {places} {', '.join(f'{ids[index]} ({self._value(values[index])})' for index in taken)}."

    def _value(self, value: float) -> str:
        match self.by:
            case "score":
                return f"{value:.2f}"
            case "size":
                return f"{value:.0f} pixels"
            case _:
                return f"{value:.0f} px"
