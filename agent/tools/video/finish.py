"""The tools that end an episode about a video: with tracks, and the times that are meant; or with nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema, field_validator

from agent.core.episode import Episode, Observation
from agent.core.errors import ToolError
from agent.core.text.english import format_ids
from agent.core.timeline import Timeline, format_span
from agent.core.tools.examiner import Examiner
from agent.core.workspace import Workspace
from agent.tools.base import SmallInt
from agent.tools.finish import Answer, ReportNoMask, build_final_observation
from agent.tools.geometry.tracks import Spans, to_tracks
from agent.tools.ids import validate_ids
from agent.tools.video.times import Seconds, bound_times, format_spans, format_track_count, get_timeline
from sam3_tool import Sam3

MAX_NAMED_TRACKS = 6
"""Of an answer, each with its times; of more, the times of all together."""


class _Span(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    id: SmallInt
    since: Seconds
    until: Seconds


Span = Annotated[
    _Span,
    # Written out, as a schema with references is beyond some servers.
    WithJsonSchema(
        {
            "type": "object",
            "properties": {"id": {"type": "integer"}, "since": {"type": "number"}, "until": {"type": "number"}},
            "required": ["id", "since", "until"],
            "additionalProperties": False,
        }
    ),
]


class AnswerWithTracks(Answer):
    """Finish: these tracks are the answer."""

    name: ClassVar[str] = "answer"
    field_aliases: ClassVar = {
        **Answer.field_aliases,
        **dict.fromkeys(("tracks", "track_ids"), "ids"),
        **dict.fromkeys(("times", "when", "time_spans"), "spans"),
    }

    spans: list[Span] = Field(
        default=[],
        description="Only where the query asks for a time ('while it jumps'): the seconds in which a track belongs"
        " there. A track without a span belongs there whenever it is seen.",
    )

    @field_validator("spans", mode="before")
    @classmethod
    def _accept_single_span(cls, value: Any) -> Any:
        return [value] if isinstance(value, dict) else value

    def run(self, episode: Episode, sam3: Sam3, planner: Examiner) -> Observation:
        ids, timeline = validate_ids(self.ids, episode.workspace), get_timeline(episode)
        spans = tuple((span.id, span.since, span.until) for span in self.spans)
        if foreign := [id for id, *_ in spans if id not in ids]:
            raise ToolError(f"A span is of track {foreign[0]}, which is not in `ids`; give spans of the answer alone.")
        frames = {id: find_span_frames(id, spans, episode.workspace, timeline) for id in {id for id, *_ in spans}}
        named = describe_answer_times(ids, episode.workspace, timeline, frames)
        message = f"{self.message.strip()} {named}.".strip()
        said = build_final_observation(episode, sam3, ids=ids, outcome="answered", message=message)
        reasons = tuple((reason.id, reason.reason) for reason in self.reasons if reason.id in episode.workspace)
        return replace(said, reasons=reasons, spans=spans)


def find_span_frames(
    id: int, spans: Sequence[tuple[int, float, float]], workspace: Workspace, timeline: Timeline
) -> Spans:
    """The frames of a track's spans. Raises ToolError for a span in which it is not seen."""
    [masklet] = workspace.get_masklets(validate_ids([id], workspace))
    found = []
    for other, since, until in spans:
        if other != id:
            continue
        try:
            start, stop = timeline.find_part(since, until)
        except ValueError as error:
            raise ToolError(f"In the span of track {id}, {error}.") from error
        if not any(start <= frame < stop for frame in masklet.frames):
            raise ToolError(f"Track {id} is not seen in {format_span(since, until)}; correct the span.")
        found.append((start, stop))
    return tuple(sorted(found))


def describe_answer_times(
    ids: Sequence[int], workspace: Workspace, timeline: Timeline, spans: Mapping[int, Spans]
) -> str:
    """Name the tracks of an answer with their times, e.g. 'Tracks 2 and 5, 0:01.2 to 0:04.0'."""
    tracks = dict(zip(ids, to_tracks(workspace.get_masklets(ids), timeline), strict=True))
    if len(ids) > MAX_NAMED_TRACKS:
        return f"{format_track_count(len(ids))}: {format_ids(ids)}, {bound_times(tracks.values())}"
    ids_by_times: dict[str, list[int]] = {}
    for id, track in tracks.items():
        ids_by_times.setdefault(format_spans(spans.get(id, track.spans), timeline), []).append(id)
    words = [
        f"{'track' if len(group) == 1 else 'tracks'} {format_ids(group)}, {times}"
        for times, group in ids_by_times.items()
    ]
    sentence = "; ".join(words)
    return sentence[0].upper() + sentence[1:]


class ReportNoTrack(ReportNoMask):
    """Finish: nothing in the video matches the query."""

    nothing: ClassVar[str] = "Nothing in the video matches."
