"""What one object does in the course of a video: pure functions of tracks.

Ways are in shares of the frame, times in seconds, sizes in shares of the object's own. The beginning and the end of an
object's time are its first and last quarter, so that a single bad mask decides nothing.
"""

from collections.abc import Callable

import numpy as np

from agent.core.timeline import ROUNDING
from agent.tools.geometry.time_words import MOTIONS, TRACK_MEASURES, Motion, TrackMeasure
from agent.tools.geometry.tracks import BRIDGE_SECONDS, SIDE_SHARE, Spans, Track

WAY_SHARE = 0.05
"""moves_left and so on: the least way along that axis, as a share of the frame's width or height."""
SLANT = 0.5
"""… and the least share that it is of the way along the other axis."""
STILL_SHARE = 0.03
"""still: how far the centroid may be from its median place, as a share of the frame's diagonal."""
TURN_SHARE = 0.05
"""turns: the least way before the turn, and after it, as a share of the frame's diagonal."""
TURN_COSINE = 0.5
"""turns: the cosine of the angle between both ways is below this: the turn is sharper than 60 degrees."""
CROSS_SHARE = 0.5
"""crosses: the least way along one axis, as a share of the frame's side."""
GROWTH = 1.25
"""grows, shrinks: the least ratio of the areas at the end and at the beginning, or the inverse."""
MIN_CLEAR_FRAMES = 4
"""grows, shrinks: so many frames on which the object is not cut by the frame's edge are enough to judge by alone."""


def find_motion(motion: Motion, track: Track) -> Spans:
    """Find when an object does this: () = never.

    - moves_left, moves_right, moves_up, moves_down: from the mean place in its first quarter to that in its last one,
      the centroid goes at least `WAY_SHARE` of the frame's side that way, and at least `SLANT` as far as along the
      other axis; so what goes straight to a corner moves both ways. It holds all the time.
    - still: the centroid never is farther than `STILL_SHARE` of the diagonal from its median place. moves: not still.
    - turns: at some frame, the way to there and the way from there are both at least `TURN_SHARE` of the diagonal, and
      more than 60 degrees apart. It holds at the frame where the two ways are longest together.
    - crosses: it goes at least `CROSS_SHARE` of the frame's width, or of its height.
    - grows, shrinks: the median area in its last quarter is at least `GROWTH` times (at most 1 / `GROWTH` times) that
      in its first one. Frames on which the frame's edge cuts it are left out where enough others remain.
    - appears: it is not there in the first `BRIDGE_SECONDS` of the part, nor on its first two frames, and is later.
      disappears: it is there, and is not in the last `BRIDGE_SECONDS`, nor on the last two frames. They hold at its
      first and at its last frame.
    - enters, leaves: it appears (disappears) at the frame's edge: there, or one step of its way beyond its first (last)
      place, its box comes within `SIDE_SHARE` of the frame's side.
    - comes_back: it is there again after a break that is no flicker. It holds at the first frame after each break.

    >>> from agent.core.timeline import Timeline
    >>> from agent.tools.geometry.tracks import to_tracks
    >>> from sam3_tool.video.masklets import Masklet
    >>> masks = [np.zeros((10, 40), bool) for _ in range(8)]
    >>> for frame, mask in enumerate(masks):
    ...     mask[4:6, 4 * frame : 4 * frame + 4] = True
    >>> [ball] = to_tracks([Masklet.from_masks(masks)], Timeline(tuple(frame / 4 for frame in range(8))))
    >>> [motion for motion in MOTIONS if find_motion(motion, ball)]
    ['moves', 'moves_right', 'crosses']
    """
    if motion not in MOTIONS:
        raise ValueError(f"`motion` must be one of {', '.join(MOTIONS)}, got {motion!r}")
    return _FINDERS[motion](track) if len(track) else ()


def measure_track(by: TrackMeasure, track: Track) -> float:
    """Measure what an object does, to rank by; NaN for one that is not seen.

    speed: the mean over its time, in pixels a second, measured over steps of at least `STEP_SECONDS` or a frame. way:
    from the mean place in its first quarter to that in its last one, in pixels. growth: the median area in its last
    quarter, as a multiple of that in its first one. duration: how long it is on screen, in seconds. first_seen,
    last_seen: when it appears, and its last frame, in seconds of the video.
    """
    if by not in TRACK_MEASURES:
        raise ValueError(f"`by` must be one of {', '.join(TRACK_MEASURES)}, got {by!r}")
    return float(_MEASURES[by](track)) if len(track) else float("nan")


# one object as a whole


def _hold_throughout(holds: bool, track: Track) -> Spans:
    return track.spans if holds else ()


def _moves_along(track: Track, axis: int, sign: int) -> bool:
    side = (track.width, track.height)[axis]
    along, across = sign * track.way[axis], abs(track.way[1 - axis])
    return bool(along >= WAY_SHARE * side and along >= SLANT * across)


def _is_still(track: Track) -> bool:
    away = track.centroids - np.median(track.centroids, axis=0)
    return bool(np.hypot(*away.T).max() <= STILL_SHARE * track.diagonal)


def _crosses_frame(track: Track) -> bool:
    return bool((np.abs(track.way) >= CROSS_SHARE * np.array([track.width, track.height])).any())


def _find_turn(track: Track) -> Spans:
    """Compare, at every frame, the way from the first place with the way to the last one."""
    before, after = track.centroids - track.centroids[0], track.centroids[-1] - track.centroids
    far = np.hypot(*before.T), np.hypot(*after.T)
    turning = np.minimum(*far) >= TURN_SHARE * track.diagonal
    turning &= (before * after).sum(axis=1) < TURN_COSINE * far[0] * far[1]
    farthest = int(np.where(turning, far[0] + far[1], -1).argmax())
    return _hold_at(bool(turning[farthest]), int(track.frames[farthest]))


def measure_growth(track: Track) -> float:
    """Return the median area in the last quarter of its time, as a multiple of that in the first quarter."""
    clear = ~_find_cut_frames(track)
    seen = track.select(clear) if clear.sum() >= MIN_CLEAR_FRAMES else track
    head, tail = seen.select_ends()
    return float(np.median(seen.areas[tail]) / np.median(seen.areas[head]))


def _find_cut_frames(track: Track) -> np.ndarray:
    """bool, (K,): whether the edge of the frame may cut the object."""
    low, high = track.boxes[:, :2], track.boxes[:, 2:]
    return np.asarray((low <= 0).any(axis=1) | (high >= [track.width, track.height]).any(axis=1))


def _appears(track: Track) -> bool:
    timeline = track.timeline
    late = timeline.times[track.first] - timeline.times[timeline.start] >= BRIDGE_SECONDS - ROUNDING
    return late and track.first - timeline.start > 1


def _disappears(track: Track) -> bool:
    timeline = track.timeline
    seen_until = timeline.times[track.last] + timeline.measure_seconds(track.last)
    gone = timeline.end - seen_until >= BRIDGE_SECONDS - ROUNDING
    return gone and timeline.stop - 1 - track.last > 1


def _is_at_edge(track: Track, index: int, inner: int) -> bool:
    """Whether the box at `index`, or one step beyond it away from `inner`, is at the edge of the frame."""
    frames = abs(int(track.frames[index] - track.frames[inner]))
    step = (track.centroids[index] - track.centroids[inner]) / max(frames, 1)
    sides = np.array([track.width, track.height])
    margin = SIDE_SHARE * sides
    low, high = track.boxes[index, :2], track.boxes[index, 2:]
    at = (np.minimum(low, low + step) <= margin) | (np.maximum(high, high + step) >= sides - margin)
    return bool(at.any())


def _enters(track: Track) -> bool:
    run = track.runs[0]
    return _appears(track) and _is_at_edge(track, run.start, min(run.start + 1, run.stop - 1))


def _leaves(track: Track) -> bool:
    run = track.runs[-1]
    return _disappears(track) and _is_at_edge(track, run.stop - 1, max(run.stop - 2, run.start))


def _hold_at(holds: bool, frame: int) -> Spans:
    return ((frame, frame + 1),) if holds else ()


_FINDERS: dict[str, Callable[[Track], Spans]] = {
    "moves": lambda track: _hold_throughout(not _is_still(track), track),
    "still": lambda track: _hold_throughout(_is_still(track), track),
    "moves_left": lambda track: _hold_throughout(_moves_along(track, 0, -1), track),
    "moves_right": lambda track: _hold_throughout(_moves_along(track, 0, 1), track),
    "moves_up": lambda track: _hold_throughout(_moves_along(track, 1, -1), track),
    "moves_down": lambda track: _hold_throughout(_moves_along(track, 1, 1), track),
    "turns": _find_turn,
    "crosses": lambda track: _hold_throughout(_crosses_frame(track), track),
    "grows": lambda track: _hold_throughout(measure_growth(track) >= GROWTH, track),
    "shrinks": lambda track: _hold_throughout(measure_growth(track) <= 1 / GROWTH, track),
    "appears": lambda track: _hold_at(_appears(track), track.first),
    "disappears": lambda track: _hold_at(_disappears(track), track.last),
    "enters": lambda track: _hold_at(_enters(track), track.first),
    "leaves": lambda track: _hold_at(_leaves(track), track.last),
    "comes_back": lambda track: tuple((start, start + 1) for start, _ in track.spans[1:]),
}


def measure_speed(track: Track) -> float:
    """Return the mean speed over its steps, in pixels a second; 0 for an object that is seen on one frame."""
    if not len(track.steps):
        return 0.0
    here, there = track.steps.T
    ways = np.hypot(*(track.centroids[there] - track.centroids[here]).T)
    return float(ways.sum() / (track.times[there] - track.times[here]).sum())


_MEASURES: dict[str, Callable[[Track], float]] = {
    "speed": measure_speed,
    "way": lambda track: float(np.hypot(*track.way)),
    "growth": measure_growth,
    "duration": lambda track: track.seconds,
    "first_seen": lambda track: track.timeline.times[track.first],
    "last_seen": lambda track: track.timeline.times[track.last],
}
