"""Masklets as geometry works on them: where an object is on each frame, without the flicker of single frames."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias
from weakref import WeakKeyDictionary

import numpy as np

from agent.core.timeline import ROUNDING, Timeline
from agent.tools.geometry.shapes import compute_centroid
from agent.tools.geometry.terms import SAME_OBJECT
from sam3_tool.masks.rle import RleMask, compute_areas, compute_ious, decode_columns
from sam3_tool.video.masklets import Masklet

BRIDGE_SECONDS = 0.25
"""An object that is not found for less than that, or on a single frame only, was there all the same."""
MOMENT_SECONDS = 0.1
"""What holds for less than that is taken for flicker: two frames of a usual video, but a single one of 8 a second."""
STEP_SECONDS = 0.25
"""Ways are measured between frames at least so far apart, so that shaking outlines do not count as a way."""
QUARTER = 0.25
"""The share of an object's time that is its beginning, and its end."""
SIDE_SHARE = 0.03
"""How near to the edge of the frame an object must come to go through it, as a share of the frame's side."""

Spans: TypeAlias = tuple[tuple[int, int], ...]
"""(start, stop) in frames of the whole video, increasing; () = at no time."""


@dataclass(frozen=True, eq=False)
class Track:
    """One object in a part of a video, measured on each of the K frames on which it is seen."""

    timeline: Timeline
    frames: np.ndarray
    """int64, (K,), increasing."""
    rles: tuple[RleMask, ...]
    """K masks."""
    centroids: np.ndarray
    """float64, (K, 2), x y of the mean pixel; each coordinate is the median of three frames in a row."""
    areas: np.ndarray
    """float64, (K,), pixels; the median of three frames in a row."""
    boxes: np.ndarray
    """float64, (K, 4), x0 y0 x1 y1 in pixels around the mask."""
    height: int
    width: int
    """Of the frames, in pixels."""

    def __len__(self) -> int:
        return len(self.frames)

    @cached_property
    def times(self) -> np.ndarray:
        """float64, (K,), seconds."""
        return np.asarray(np.asarray(self.timeline.times)[self.frames])

    @property
    def diagonal(self) -> float:
        """Of the frame, in pixels."""
        return float(np.hypot(self.height, self.width))

    @cached_property
    def runs(self) -> tuple[slice, ...]:
        """Where in the K frames it is there without a break.

        Breaks of less than `BRIDGE_SECONDS`, or of a single frame, are none; after that, a run of a single frame counts
        only if there is no longer one.
        """
        if not len(self):
            return ()
        breaks = np.diff(self.frames) - 1
        gone = np.diff(self.times) - [self.timeline.measure_seconds(int(frame)) for frame in self.frames[:-1]]
        ends = np.flatnonzero((breaks > 1) & (gone >= BRIDGE_SECONDS - ROUNDING)) + 1
        runs = [slice(low, high) for low, high in zip([0, *ends.tolist()], [*ends.tolist(), len(self)], strict=True)]
        longer = [run for run in runs if run.stop - run.start > 1]
        return tuple(longer or runs)

    @property
    def spans(self) -> Spans:
        """When it is there: the frames of its runs."""
        return tuple((int(self.frames[run.start]), int(self.frames[run.stop - 1]) + 1) for run in self.runs)

    @property
    def first(self) -> int:
        """The first frame of its first run."""
        return self.spans[0][0]

    @property
    def last(self) -> int:
        """The last frame of its last run."""
        return self.spans[-1][1] - 1

    @property
    def seconds(self) -> float:
        """How long it is there, breaks between its runs left out."""
        times = self.timeline.times
        return sum(
            times[stop - 1] - times[start] + self.timeline.measure_seconds(stop - 1) for start, stop in self.spans
        )

    @cached_property
    def steps(self) -> np.ndarray:
        """int64, (S, 2): pairs of indices, at least `STEP_SECONDS` or a frame apart, that lead through each run."""
        pairs: list[tuple[int, int]] = []
        for run in self.runs:
            here = run.start
            for index in range(run.start + 1, run.stop):
                if self.times[index] - self.times[here] >= STEP_SECONDS - ROUNDING or index == run.stop - 1:
                    pairs.append((here, index))
                    here = index
        return np.array(pairs, np.int64).reshape(-1, 2)

    @cached_property
    def way(self) -> np.ndarray:
        """float64, (2,): from the mean place in its first quarter to that in its last quarter, in pixels."""
        head, tail = self.select_ends()
        return np.asarray(self.centroids[tail].mean(axis=0) - self.centroids[head].mean(axis=0))

    def select_ends(self) -> tuple[np.ndarray, np.ndarray]:
        """bool, (K,) each: the frames in the first and in the last quarter of its time."""
        return select_ends(self.times)

    def select(self, keep: np.ndarray) -> "Track":
        """Keep some frames: bool, (K,), or indices."""
        index = np.arange(len(self))[keep]
        return Track(
            self.timeline,
            self.frames[index],
            tuple(self.rles[row] for row in index),
            self.centroids[index],
            self.areas[index],
            self.boxes[index],
            self.height,
            self.width,
        )

    def find_mask(self, frame: int) -> RleMask | None:
        """Find its mask on a frame of the whole video; None where it is not seen."""
        index = int(np.searchsorted(self.frames, frame))
        return self.rles[index] if index < len(self) and self.frames[index] == frame else None


def to_tracks(masklets: Sequence[Masklet], timeline: Timeline) -> list[Track]:
    """Measure masklets in the part of the video that the timeline tells of."""
    return [_measure_masklet(masklet, timeline) for masklet in masklets]


@dataclass(frozen=True, eq=False)
class _Measures:
    """What is measured once for each masklet."""

    centroids: np.ndarray
    areas: np.ndarray
    boxes: np.ndarray


_measures: WeakKeyDictionary[Masklet, _Measures] = WeakKeyDictionary()
"""A cache: a planner asks about the same tracks again and again."""


def _measure_masklet(masklet: Masklet, timeline: Timeline) -> Track:
    measures = _measures.get(masklet)
    if measures is None:
        measures = _measures[masklet] = _Measures(
            smooth_values(np.array([_find_centroid(rle) for rle in masklet.rles], np.float64).reshape(-1, 2)),
            smooth_values(masklet.areas.astype(np.float64)),
            masklet.boxes.astype(np.float64),
        )
    frames = np.array(masklet.frames, np.int64)
    height, width = masklet.rles[0].size
    whole = Track(timeline, frames, masklet.rles, measures.centroids, measures.areas, measures.boxes, height, width)
    return whole.select((frames >= timeline.start) & (frames < timeline.stop))


def _find_centroid(rle: RleMask) -> tuple[float, float]:
    left, columns = decode_columns(rle)
    return compute_centroid(columns.T, left)


def smooth_values(values: np.ndarray) -> np.ndarray:
    """Take the median of each three values in a row, float (K, ...); the first and the last stay as they are."""
    if len(values) < 3:
        return values
    inner = np.median(np.stack([values[:-2], values[1:-1], values[2:]]), axis=0)
    return np.concatenate([values[:1], inner, values[-1:]])


def find_moments(flags: np.ndarray, frames: np.ndarray, timeline: Timeline) -> np.ndarray:
    """Find where flags, bool (K,) on frames, int (K,), hold for longer than a flicker: bool, (K,).

    A single frame between two that are flagged is taken for flagged; then, what lasts less than `MOMENT_SECONDS` is
    not.

    >>> timeline = Timeline(tuple(frame / 25 for frame in range(9)))
    >>> find_moments(np.array([1, 0, 1, 1, 0, 0, 1, 0, 0], bool), np.arange(9), timeline).astype(int).tolist()
    [1, 1, 1, 1, 0, 0, 0, 0, 0]
    """
    closed = flags.copy()
    closed[1:-1] |= flags[:-2] & flags[2:]
    edges = np.flatnonzero(np.diff(np.concatenate([[False], closed, [False]]).astype(np.int8))).reshape(-1, 2)
    for low, high in edges.tolist():
        last = int(frames[high - 1])
        lasted = timeline.times[last] - timeline.times[int(frames[low])] + timeline.measure_seconds(last)
        closed[low:high] = lasted >= MOMENT_SECONDS - ROUNDING
    return closed


def select_ends(times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Select what lies in the first and in the last quarter of the time from the first to the last of `times`."""
    quarter = QUARTER * (times[-1] - times[0])
    return times <= times[0] + quarter + ROUNDING, times >= times[-1] - quarter - ROUNDING


def join_frames(frames: np.ndarray, flags: np.ndarray) -> Spans:
    """Join frames, int (K,), that are next to each other in it and flagged, bool (K,), to spans."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    return tuple((int(frames[low]), int(frames[high - 1]) + 1) for low, high in edges.reshape(-1, 2))


def is_same_track(a: Masklet, b: Masklet) -> bool:
    """Whether two masklets are one object: all their pixels of all frames have an IoU above `SAME_OBJECT`."""
    if a is b:
        return True
    shared = sorted({*a.frames} & {*b.frames})
    if not shared:
        return False
    total, common = float(a.areas.sum() + b.areas.sum()), 0.0
    for frame in shared:
        pair = [mask for mask in (a.at(frame), b.at(frame)) if mask is not None]
        iou = float(compute_ious(pair[:1], pair[1:])[0, 0])
        common += float(compute_areas(pair).sum()) * iou / (1 + iou)
    return common > SAME_OBJECT * (total - common)
