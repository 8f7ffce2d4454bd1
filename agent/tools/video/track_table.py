"""What is measured of tracks, in words: when each is seen, where it goes, what it does, how large it is."""

from collections.abc import Sequence

import numpy as np

from agent.core.episode import Episode
from agent.tools.geometry.motions import find_motion, measure_growth, measure_speed
from agent.tools.geometry.time_words import Motion
from agent.tools.geometry.tracks import Track, to_tracks
from agent.tools.video.times import format_spans, get_timeline

MAX_ROWS = 24
"""Tracks that a table describes; of more, their numbers are enough."""
TOLD_MOTIONS: tuple[Motion, ...] = (
    *("still", "moves_left", "moves_right", "moves_up", "moves_down", "turns", "crosses"),
    *("grows", "shrinks", "enters", "leaves", "comes_back"),
)
"""The others follow from the times."""


def describe_track_table(ids: Sequence[int], episode: Episode) -> str:
    """Describe each track in a line, e.g. "- 2 'dog': 0:00.0 to 0:01.9; from the left to the right; moves right"."""
    timeline = get_timeline(episode)
    masklets = episode.workspace.get_masklets(ids[:MAX_ROWS])
    rows = [
        f"- {id} {episode.workspace[id].phrase!r}: {describe_track(track)}"
        for id, track in zip(ids, to_tracks(masklets, timeline), strict=False)
    ]
    more = [f"- and {len(ids) - MAX_ROWS} more"] if len(ids) > MAX_ROWS else []
    return "\n".join(rows + more)


def describe_track(track: Track) -> str:
    """Describe when a track is seen, where, what it does, its speed and its size."""
    if not len(track):
        return "not seen in this part"
    head, tail = track.select_ends()
    first, last = (_name_place(track.centroids[end].mean(axis=0), track) for end in (head, tail))
    where = f"at the {first}" if first == last else f"from the {first} to the {last}"
    does = [motion.replace("_", " ") for motion in TOLD_MOTIONS if find_motion(motion, track)]
    share = 100 * float(np.median(track.areas)) / (track.width * track.height)
    size = f"{share:.1f} % of the picture" + (
        f", growing {measure_growth(track):.1f} times" if {"grows", "shrinks"} & {*does} else ""
    )
    speed = f"{100 * measure_speed(track) / track.diagonal:.0f} % of the diagonal a second"
    return "; ".join([format_spans(track.spans, track.timeline), where, *does, speed, size])


def _name_place(point: np.ndarray, track: Track) -> str:
    """Name the ninth of the frame that holds a point."""
    column = ("left", "middle", "right")[min(2, int(3 * point[0] / track.width))]
    row = ("top", "middle", "bottom")[min(2, int(3 * point[1] / track.height))]
    if row == column:
        return "middle"
    return column if row == "middle" else row if column == "middle" else f"{row} {column}"
