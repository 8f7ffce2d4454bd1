"""How objects stand to each other in the course of a video: pure functions of tracks.

A relation of images is looked up frame by frame, among the frames on which both objects are seen, without flicker
(`find_moments`). What only time can tell is defined here.
"""

from collections.abc import Callable, Sequence

import numpy as np

from agent.core.timeline import Timeline
from agent.tools.geometry.measures import measure_masks
from agent.tools.geometry.motions import WAY_SHARE, measure_track
from agent.tools.geometry.predicates import find_located, find_related
from agent.tools.geometry.terms import MEASURES, RELATIONS, Place
from agent.tools.geometry.time_words import ENCOUNTERS, TRACK_MEASURES, When
from agent.tools.geometry.tracks import (
    Spans,
    Track,
    find_moments,
    is_same_track,
    join_frames,
    select_ends,
    to_tracks,
)
from sam3_tool.video.masklets import Masklet

TOWARD_SHARE = 0.5
"""moving_toward, moving_away_from: the least share of its way that leads there (away)."""
PASS_SHARE = 0.02
"""passing: how far it must be behind the other first, and before it in the end, as a share of the frame's diagonal."""
TOGETHER_SHARE = 0.5
"""seen_with: the least share of its own frames on which the other is seen, too."""


def find_encounters(
    relation: str,
    masklets: Sequence[Masklet],
    to: Sequence[Masklet],
    other: Sequence[Masklet],
    timeline: Timeline,
    *,
    when: When = "mostly",
) -> list[Spans]:
    """Find for each of N objects when it stands in the relation to at least one of `to`: () = it does not.

    No object stands in a relation to itself, even if it was found twice (`is_same_track`).

    A relation of images (`RELATIONS`) holds as `when` says, among the frames of the part on which the object and one of
    `to` are seen; the spans say on which frames. What can only be told in the course of time:

    - moving_toward, moving_away_from: on the frames on which both are seen, its own steps lead toward the place where
      the other is then (away from it) by at least `WAY_SHARE` of the diagonal in sum, and by at least `TOWARD_SHARE` of
      their length.
    - passing: its way, on the frames on which both are seen, is at least `WAY_SHARE` of the diagonal long, and along it
      the centroid is at least `PASS_SHARE` of the diagonal behind the other's in the first quarter of these frames,
      and as far before it in the last quarter. The span is where it draws level.
    - passing_over: passing, and where it draws level, its centroid is above the upper edge of the other's box.
    - crossing: passing, and touching the other at some time.
    - appearing_before, appearing_after: its first frame is earlier (later) than the other's. disappearing_before,
      disappearing_after: so is its last frame. The span is that frame.
    - seen_with: the other is seen on at least `TOGETHER_SHARE` of the frames on which it is seen.
    """
    if relation in RELATIONS:
        return _find_by_frames(relation, masklets, to, other, timeline, when)
    if relation not in ENCOUNTERS:
        raise ValueError(f"`relation` must be one of {', '.join((*RELATIONS, *ENCOUNTERS))}, got {relation!r}")
    holds = _ENCOUNTERS[relation]
    others = list(zip(to, to_tracks(to, timeline), strict=True))
    found: list[Spans] = []
    for masklet, track in zip(masklets, to_tracks(masklets, timeline), strict=True):
        strangers = [theirs for theirs_masklet, theirs in others if not is_same_track(masklet, theirs_masklet)]
        spans = (holds(track, theirs) for theirs in strangers if len(track) and len(theirs))
        found.append(next(filter(None, spans), ()))
    return found


def find_places(place: Place, masklets: Sequence[Masklet], timeline: Timeline, *, when: When = "mostly") -> list[Spans]:
    """Find for each of N objects when it lies in a part of the frame, as `when` says: () = it does not."""
    return [
        _judge_flags(find_located(place, track.rles), track.frames, timeline, when) if len(track) else ()
        for track in to_tracks(masklets, timeline)
    ]


def measure_tracks(
    by: str, masklets: Sequence[Masklet], scores: np.ndarray, to: Sequence[Masklet], timeline: Timeline
) -> np.ndarray:
    """Measure each object, to rank by: float64, (N,); inf or NaN where it cannot be measured.

    What an image has, too (`MEASURES`), is the median over the frames on which all N objects are seen, so that they are
    compared at the same time; where there are none, over each one's own frames. distance: over the frames on which one
    of `to` is seen as well. `scores`: float, (N,). All others are those of `measure_track`.
    """
    tracks = to_tracks(masklets, timeline)
    if by in TRACK_MEASURES:
        return np.array([measure_track(by, track) for track in tracks], np.float64)  # type: ignore[arg-type]
    if by == "score":
        return np.asarray(scores, np.float64)
    if by not in MEASURES:
        raise ValueError(f"`by` must be one of {', '.join((*MEASURES, *TRACK_MEASURES))}, got {by!r}")
    if by == "distance":
        return np.array([_measure_distance(track, to_tracks(to, timeline)) for track in tracks], np.float64)
    shared = set.intersection(*(set(track.frames.tolist()) for track in tracks)) if tracks else set()
    chosen = [track.select(np.isin(track.frames, list(shared))) if shared else track for track in tracks]
    return np.array([_MEDIANS[by](track) if len(track) else np.nan for track in chosen], np.float64)


_MEDIANS: dict[str, Callable[[Track], float]] = {
    "size": lambda track: float(np.median(track.areas)),
    "x": lambda track: float(np.median(track.centroids[:, 0])),
    "y": lambda track: float(np.median(track.centroids[:, 1])),
    "width": lambda track: float(np.median(track.boxes[:, 2] - track.boxes[:, 0])),
    "height": lambda track: float(np.median(track.boxes[:, 3] - track.boxes[:, 1])),
}


def _measure_distance(track: Track, to: Sequence[Track]) -> float:
    """Return the median over the common frames of the gap to the nearest of `to`; inf where there is none."""
    gaps = [
        measure_masks("distance", [rle], np.zeros(1), [mask for other in to if (mask := other.find_mask(int(frame)))])
        for frame, rle in zip(track.frames, track.rles, strict=True)
    ]
    measured = [gap.item() for gap in gaps if np.isfinite(gap).all()]
    return float(np.median(measured)) if measured else float("inf")


# frame by frame


def _find_by_frames(
    relation: str,
    masklets: Sequence[Masklet],
    to: Sequence[Masklet],
    other: Sequence[Masklet],
    timeline: Timeline,
    when: When,
) -> list[Spans]:
    seen: list[list[int]] = [[] for _ in masklets]
    flags: list[list[bool]] = [[] for _ in masklets]
    for frame in range(timeline.start, timeline.stop):
        indices = [index for index, masklet in enumerate(masklets) if masklet.find_place(frame) is not None]
        of, those, seconds = (
            [mask for masklet in group if (mask := masklet.at(frame)) is not None]
            for group in ([masklets[index] for index in indices], to, other)
        )
        if not of or not those or (other and not seconds):
            continue
        holds = find_related(relation, of, those, seconds)  # type: ignore[arg-type]
        for index, mask, flag in zip(indices, of, holds.tolist(), strict=True):
            # an object that has only itself to be compared with says nothing of this frame: neither yes nor no
            if flag or any(mask is not theirs for theirs in those):
                seen[index].append(frame)
                flags[index].append(flag)
    return [
        _judge_flags(np.array(own, bool), np.array(frames, np.int64), timeline, when) if frames else ()
        for frames, own in zip(seen, flags, strict=True)
    ]


def _judge_flags(flags: np.ndarray, frames: np.ndarray, timeline: Timeline, when: When) -> Spans:
    """Return the moments of flags, bool (K,) on frames, int (K,), where they hold as `when` says."""
    moments = find_moments(flags, frames, timeline)
    enough = {"mostly": 2 * int(moments.sum()) > len(moments), "ever": True, "always": bool(moments.all())}
    return join_frames(frames, moments) if enough[when] else ()


# in the course of time


def _share_frames(a: Track, b: Track) -> tuple[Track, Track]:
    """Return both on the frames on which both are seen."""
    return a.select(np.isin(a.frames, b.frames)), b.select(np.isin(b.frames, a.frames))


def _find_approach(a: Track, b: Track, sign: int) -> Spans:
    of, to = _share_frames(a, b)
    if len(of) < 2:
        return ()
    here, there = of.steps.T
    steps = of.centroids[there] - of.centroids[here]
    toward = to.centroids[here] - of.centroids[here]
    units = toward / np.maximum(np.hypot(*toward.T), 1e-9)[:, None]
    gained, length = sign * float((steps * units).sum()), float(np.hypot(*steps.T).sum())
    return of.spans if gained >= max(WAY_SHARE * a.diagonal, TOWARD_SHARE * length) else ()


def _find_level(a: Track, b: Track) -> int | None:
    """Find the index, among the common frames, where `a` draws level with `b` on its way past it."""
    of, to = _share_frames(a, b)
    if len(of) < 2:
        return None
    length = float(np.hypot(*of.way))
    if length < WAY_SHARE * a.diagonal:
        return None
    ahead = (of.centroids - to.centroids) @ (of.way / length)
    head, tail = select_ends(of.times)
    margin = PASS_SHARE * a.diagonal
    if not (ahead[head].mean() <= -margin and ahead[tail].mean() >= margin):
        return None
    return int(np.abs(ahead).argmin())


def _find_passing(a: Track, b: Track) -> Spans:
    level = _find_level(a, b)
    if level is None:
        return ()
    frame = int(_share_frames(a, b)[0].frames[level])
    return ((frame, frame + 1),)


def _find_passing_over(a: Track, b: Track) -> Spans:
    level = _find_level(a, b)
    if level is None:
        return ()
    of, to = _share_frames(a, b)
    return _find_passing(a, b) if of.centroids[level, 1] < to.boxes[level, 1] else ()


def _find_crossing(a: Track, b: Track) -> Spans:
    passing = _find_passing(a, b)
    if not passing:
        return ()
    of, to = _share_frames(a, b)
    touching = [bool(find_related("touching", [x], [y])[0]) for x, y in zip(of.rles, to.rles, strict=True)]
    return _judge_flags(np.array(touching, bool), of.frames, of.timeline, "ever")


def _find_seen_with(a: Track, b: Track) -> Spans:
    together = np.isin(a.frames, b.frames)
    return join_frames(a.frames, together) if together.mean() >= TOGETHER_SHARE else ()


def _mark_frame(holds: bool, frame: int) -> Spans:
    return ((frame, frame + 1),) if holds else ()


_ENCOUNTERS: dict[str, Callable[[Track, Track], Spans]] = {
    "moving_toward": lambda a, b: _find_approach(a, b, 1),
    "moving_away_from": lambda a, b: _find_approach(a, b, -1),
    "passing": _find_passing,
    "passing_over": _find_passing_over,
    "crossing": _find_crossing,
    "appearing_before": lambda a, b: _mark_frame(a.first < b.first, a.first),
    "appearing_after": lambda a, b: _mark_frame(a.first > b.first, a.first),
    "disappearing_before": lambda a, b: _mark_frame(a.last < b.last, a.last),
    "disappearing_after": lambda a, b: _mark_frame(a.last > b.last, a.last),
    "seen_with": _find_seen_with,
}
