"""Times in the calls and in the words of tools: seconds, and spans of frames as people read them."""

import re
from collections.abc import Iterable, Sequence
from typing import Annotated

from pydantic import BeforeValidator, Field

from agent.core.episode import Episode
from agent.core.errors import ToolError
from agent.core.text.english import format_ids, pluralize
from agent.core.timeline import Timeline, format_span
from agent.tools.geometry.tracks import Spans, Track, to_tracks
from sam3_tool.video.masklets import Masklet
from sam3_tool.video.time_stamps import format_time

MAX_SPANS = 3
"""Of one track that are named; of more, the first and how many there are."""

_TIME = re.compile(r"(?:(\d+):)?(?:(\d+):)?(\d+(?:\.\d+)?)\s*(?:s|sec|seconds?)?", re.IGNORECASE)


def parse_time(value: object) -> object:
    """Seconds for '0:01.2', '1:02:03' or '1.2 s'; anything else as it is.

    >>> parse_time("0:01.2"), parse_time("1:00:02"), parse_time("3 s"), parse_time("soon")
    (1.2, 3602.0, 3.0, 'soon')
    """
    if isinstance(value, bool):  # which pydantic would read as 0 or 1
        raise ValueError("should be a number of seconds")
    parsed = _TIME.fullmatch(value.strip()) if isinstance(value, str) else None
    if parsed is None:
        return value
    higher, lower, seconds = parsed.groups()
    parts = [float(part) for part in (higher, lower, seconds) if part is not None]
    return sum(part * 60**place for place, part in enumerate(reversed(parts)))


Seconds = Annotated[float, Field(ge=0), BeforeValidator(parse_time)]
"""From the beginning of the video; also written 0:01.2."""


def get_timeline(episode: Episode, since: float | None = None, until: float | None = None) -> Timeline:
    """Return the part of the video that is asked about, or less of it. Raises ToolError where nothing is shown then."""
    timeline = episode.task.timeline
    if timeline is None:
        raise ValueError("a tool for videos was called on an image")
    try:
        return timeline.cut_part(since, until)
    except ValueError as error:
        raise ToolError(f"With `since` and `until` as given, {error}.") from error


def format_spans(spans: Spans, timeline: Timeline) -> str:
    """Write when something holds; (start, stop) in frames.

    >>> format_spans(((0, 3), (5, 6)), Timeline((0.0, 0.5, 1.0, 1.5, 2.0, 2.5)))
    '0:00.0 to 0:01.0 and 0:02.5'
    """
    named = [format_span(timeline.times[start], timeline.times[stop - 1]) for start, stop in spans]
    if len(named) > MAX_SPANS:
        return f"{named[0]} and {pluralize(len(named) - 1, 'other time')}"
    *rest, last = named or ["never"]
    return f"{', '.join(rest)} and {last}" if rest else last


def describe_part(timeline: Timeline) -> str:
    """Say which part of the video was looked at; "" for all of it."""
    last = timeline.times[timeline.stop - 1]
    return "" if timeline.is_whole else f" from {format_span(timeline.times[timeline.start], last)}"


def describe_tracks(ids: Sequence[int], masklets: Sequence[Masklet], timeline: Timeline) -> str:
    """Name tracks with the times when they are seen, those that are seen at the same time together.

    E.g. '1 and 3 (0:00.0 to 0:02.0), 2 (0:01.2 to 0:01.6)'.
    """
    tracks = to_tracks(masklets, timeline)
    return describe_spans({id: track.spans for id, track in zip(ids, tracks, strict=True)}, timeline)


def describe_spans(spans: dict[int, Spans], timeline: Timeline) -> str:
    """Name tracks with the times when something holds for them, those with the same times together."""
    ids_by_times: dict[str, list[int]] = {}
    for id, its_spans in spans.items():
        ids_by_times.setdefault(format_spans(its_spans, timeline), []).append(id)
    return ", ".join(f"{format_ids(ids)} ({times})" for times, ids in ids_by_times.items())


def format_track_count(count: int) -> str:
    """Say how many tracks there are."""
    return pluralize(count, "track")


def bound_times(tracks: Iterable[Track]) -> str:
    """Say from when to when any of these is seen."""
    seen = [track for track in tracks if len(track)]
    first, last = min(track.times[0] for track in seen), max(track.times[-1] for track in seen)
    return f"between {format_time(first)} and {format_time(last)}"
