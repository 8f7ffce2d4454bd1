"""Tools that choose among tracks: by what they do, how they stand to each other, where they are, what they measure."""

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from agent.core.episode import Episode, Observation
from agent.core.errors import ToolError
from agent.core.text.english import format_ids
from agent.core.tools.examiner import Examiner
from agent.tools.base import ANY_SPELLING, Ids, Tool
from agent.tools.geometry.terms import Measure, Place, Relation
from agent.tools.geometry.time_words import Encounter, Motion, TrackMeasure, When
from agent.tools.ids import validate_ids
from agent.tools.select import RELATION_PHRASES, Rank
from agent.tools.video.times import Seconds, describe_part, describe_spans, format_track_count, get_timeline
from sam3_tool import Sam3
from sam3_tool.video.time_stamps import format_time

SINCE = "Seconds: judge only what happens from here on."
UNTIL = "Seconds: judge only what happens up to here."
PART_ALIASES = {
    **dict.fromkeys(("from", "begin", "start_time"), "since"),
    **dict.fromkeys(("end", "stop", "end_time"), "until"),
}
WHEN_WORDS = {"mostly": "", "ever": " at some time", "always": " all the time"}


class FilterByMotion(Tool):
    """Keep those tracks that do something in the course of the video, by where their masks are; it says when."""

    name: ClassVar[str] = "filter_by_motion"
    aliases: ClassVar = ("motion", "filter_motion", "select_by_motion")
    field_aliases: ClassVar = {**PART_ALIASES, "by": "motion", "action": "motion", "start": "since"}

    ids: Ids = Field(description="Numbers of the tracks to choose from.")
    motion: Annotated[Motion, ANY_SPELLING] = Field(
        description="What they must do; enters and leaves are through the edge of the picture, appears and disappears"
        " anywhere, comes_back after being out of sight, crosses from one side of the picture to the other."
    )
    since: Seconds | None = Field(default=None, description=SINCE)
    until: Seconds | None = Field(default=None, description=UNTIL)

    def run(self, episode: Episode, sam3: Sam3, planner: Examiner) -> Observation:
        from agent.tools.geometry.motions import find_motion  # loads OpenCV
        from agent.tools.geometry.tracks import to_tracks

        timeline = get_timeline(episode, self.since, self.until)
        ids = validate_ids(self.ids, episode.workspace)
        spans = [find_motion(self.motion, track) for track in to_tracks(episode.workspace.get_masklets(ids), timeline)]
        holds = {id: span for id, span in zip(ids, spans, strict=True) if span}
        what = self.motion.replace("_", " ")
        part = describe_part(timeline) if timeline != episode.task.timeline else ""
        if not holds:
            verb = {"still": "is still"}.get(self.motion, what)
            return Observation(f"None of {format_track_count(len(ids))} {verb}{part}.", shown=())
        verb = _to_plural(what) if len(holds) > 1 else {"still": "is still"}.get(self.motion, what)
        found = f"{len(holds)} of {format_track_count(len(ids))} {verb}{part}"
        return Observation(f"{found}: {describe_spans(holds, timeline)}.", shown=tuple(holds))


def _to_plural(what: str) -> str:
    """The verb as several objects do it.

    >>> _to_plural("moves left"), _to_plural("still"), _to_plural("crosses")
    ('move left', 'are still', 'cross')
    """
    verb, *rest = what.split()
    if verb == "still":
        return "are still"
    stem = verb[:-2] if verb.endswith("sses") else verb.removesuffix("s")
    return " ".join([stem, *rest])


class RelateTracks(Tool):
    """Keep those tracks that stand in a relation to at least one of others, frame by frame or in the course of time."""

    name: ClassVar[str] = "relate"
    aliases: ClassVar = ("relation", "filter_by_relation")
    field_aliases: ClassVar = {**PART_ALIASES, "start": "since"}

    ids: Ids = Field(description="Numbers of the tracks to choose from.")
    relation: Annotated[Relation | Encounter, ANY_SPELLING] = Field(description="How they must stand to the others.")
    to: Ids = Field(description="Numbers of the others.")
    other: Ids = Field(default=[], description="For `between` only: between one of `to` and one of these.")
    when: Annotated[When, ANY_SPELLING] = Field(
        default="mostly",
        description="Of relations that each frame has, on how many of the frames with both: more than half, any, all.",
    )
    since: Seconds | None = Field(default=None, description=SINCE)
    until: Seconds | None = Field(default=None, description=UNTIL)

    def run(self, episode: Episode, sam3: Sam3, planner: Examiner) -> Observation:
        from agent.tools.geometry.encounters import find_encounters  # loads OpenCV

        if self.other and self.relation != "between":
            raise ToolError(f"`other` is for the relation 'between' only, not {self.relation!r}; leave it out.")
        workspace, timeline = episode.workspace, get_timeline(episode, self.since, self.until)
        ids, to, other = (validate_ids(group, workspace) for group in (self.ids, self.to, self.other))
        of, those, seconds = (workspace.get_masklets(group) for group in (ids, to, other))
        spans = find_encounters(self.relation, of, those, seconds, timeline, when=self.when)
        holds = {id: span for id, span in zip(ids, spans, strict=True) if span}
        part = describe_part(timeline) if timeline != episode.task.timeline else ""
        condition = f"{self._describe_condition(to, other)}{WHEN_WORDS[self.when]}{part}"
        if not holds:
            return Observation(f"None of {format_track_count(len(ids))} is {condition}.", shown=())
        found = f"{len(holds)} of {format_track_count(len(ids))} {'is' if len(holds) == 1 else 'are'} {condition}"
        return Observation(f"{found}: {describe_spans(holds, timeline)}.", shown=tuple(holds))

    def _describe_condition(self, to: Sequence[int], other: Sequence[int]) -> str:
        relation = RELATION_PHRASES.get(self.relation, self.relation.replace("_", " "))
        if not to:
            return f"{relation} anything, as `to` is empty"
        if self.relation == "between" and not other:
            return f"between two of {format_ids(to)}"
        second = f" and {format_ids(other, 'or')}" if self.relation == "between" else ""
        return f"{relation} {format_ids(to, 'or')}{second}"


class LocateTracks(Tool):
    """Keep those tracks that lie in a part of the picture."""

    name: ClassVar[str] = "locate"
    aliases: ClassVar = ("location", "filter_by_place")
    field_aliases: ClassVar = {**PART_ALIASES, "start": "since"}

    ids: Ids = Field(description="Numbers of the tracks to choose from.")
    place: Annotated[Place, ANY_SPELLING] = Field(description="A half, a quarter or the middle of the picture.")
    when: Annotated[When, ANY_SPELLING] = Field(
        default="mostly", description="On more than half of the frames on which it is seen, on any, or on all."
    )
    since: Seconds | None = Field(default=None, description=SINCE)
    until: Seconds | None = Field(default=None, description=UNTIL)

    def run(self, episode: Episode, sam3: Sam3, planner: Examiner) -> Observation:
        from agent.tools.geometry.encounters import find_places  # loads OpenCV

        workspace, timeline = episode.workspace, get_timeline(episode, self.since, self.until)
        ids = validate_ids(self.ids, workspace)
        spans = find_places(self.place, workspace.get_masklets(ids), timeline, when=self.when)
        holds = {id: span for id, span in zip(ids, spans, strict=True) if span}
        part = describe_part(timeline) if timeline != episode.task.timeline else ""
        where = f"in the {self.place.replace('_', ' ')} of the picture{WHEN_WORDS[self.when]}{part}"
        if not holds:
            return Observation(f"None of {format_track_count(len(ids))} is {where}.", shown=())
        found = f"{len(holds)} of {format_track_count(len(ids))} {'is' if len(holds) == 1 else 'are'} {where}"
        return Observation(f"{found}: {describe_spans(holds, timeline)}.", shown=tuple(holds))


class RankTracks(Rank):
    """Sort tracks and take some: the fastest (by speed, descending), the second to appear (first_seen, start 2)."""

    field_aliases: ClassVar = {**PART_ALIASES}

    ids: Ids = Field(description="Numbers of the tracks to choose from.")
    by: Annotated[Measure | TrackMeasure, ANY_SPELLING] = Field(  # type: ignore[assignment]
        description="What to sort by. Of all frames with all of them, the median: area, centre (y grows downwards), gap"
        " to the nearest of `to`, extent. Or speed, way from beginning to end, growth, time on screen, first or last"
        " time seen, score."
    )
    order: Annotated[Literal["ascending", "descending"], ANY_SPELLING] = Field(
        description="ascending: the smallest, leftmost, topmost, nearest, slowest or earliest first."
    )
    to: Ids = Field(default=[], description="For `distance` only: the tracks to measure from.")
    since: Seconds | None = Field(default=None, description=SINCE)
    until: Seconds | None = Field(default=None, description=UNTIL)

    def _measure(self, ids: Sequence[int], scores: np.ndarray, to: Sequence[int], episode: Episode) -> np.ndarray:
        """NaN for what is not seen, too."""
        from agent.tools.geometry.encounters import measure_tracks  # loads OpenCV

        tracks, others = episode.workspace.get_masklets(ids), episode.workspace.get_masklets(to)
        return measure_tracks(self.by, tracks, scores, others, get_timeline(episode, self.since, self.until))

    def _format_count(self, count: int) -> str:
        return format_track_count(count)

    def _format_value(self, value: float) -> str:
        match self.by:
            case "speed":
                return f"{value:.0f} px/s"
            case "growth":
                return f"{value:.2f} times"
            case "duration":
                return f"{value:.1f} s"
            case "first_seen" | "last_seen":
                return format_time(value)
            case _:
                return super()._format_value(value)
