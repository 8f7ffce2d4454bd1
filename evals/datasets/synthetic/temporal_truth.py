"""What is true of a clip beyond doubt: the answer to each kind of temporal query, by exact paths and masks.

The docstring of each `judge_` function defines a kind. Where a clip is too close to call, there is no answer.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import cv2
import numpy as np

from evals.datasets.synthetic.choreography import StagedClip
from evals.datasets.synthetic.stages import LENGTH

MIN_FRAMES_BETWEEN = 2
"""Between two events of which one is called the earlier."""
CLEARLY_FASTER, CLEARLY_GROWN, SAME_SIZE = 1.6, 1.6, 1.2
"""Ratios: of two speeds, of areas at both ends of a growing object, and of one that keeps its size."""
CLEARLY_MOVED, STILL = 0.15, 0.04
"""Shares of the image: displacement of what moves one way, and of what does not."""
CLEARLY_APART = 0.05
"""Shares of the image: between centres, where one is called above the other or on a side of it."""
GAP = 3
"""Pixels that at least lie between objects that never touch."""
MIN_FRAMES_AWAY = 3
"""That an object which comes in is not there at first, and that one which leaves is gone at last."""
MIN_FRAMES_MEANT = 3
"""Of a query that says when: frames that are meant, and frames that are not."""
Event = Literal["always", "enters", "leaves"]
"""What tells the frames that are meant: nothing, the landmark's coming in, or its leaving."""


@dataclass(frozen=True, eq=False)
class Answer:
    """The objects that are meant, and when."""

    targets: tuple[int, ...]
    """Indices of objects."""
    frames: np.ndarray
    """bool, (T,): the frames in which they are meant."""
    event: Event = "always"


ALWAYS = np.ones(LENGTH, bool)
"""All frames."""


@dataclass(frozen=True, eq=False)
class ClipView:
    """A clip, measured. Asked objects come first, then the landmark."""

    clip: StagedClip
    number: int
    """Of asked objects."""

    @property
    def asked(self) -> range:
        return range(self.number)

    @property
    def landmark(self) -> int:
        return self.number

    @property
    def is_simple(self) -> bool:
        """True if everything is seen at some time, nothing comes back, and nothing is away for a moment alone."""
        seen = self.clip.seen
        starts = np.diff(seen.astype(np.int8), axis=0, prepend=0) == 1
        away_shortly = (seen[MIN_FRAMES_AWAY - 1] & ~seen[0]) | (seen[-MIN_FRAMES_AWAY] & ~seen[-1])
        return bool((starts.sum(axis=0) == 1).all() and not away_shortly.any())

    def find_entry(self, index: int) -> int | None:
        """The first frame in which it is seen; None if it is there from the start."""
        first = int(self.clip.seen[:, index].argmax())
        return first or None

    def find_exit(self, index: int) -> int | None:
        """The first frame in which it is gone; None if it stays to the end."""
        last = LENGTH - 1 - int(self.clip.seen[::-1, index].argmax())
        return last + 1 if last < LENGTH - 1 else None

    def measure_displacement(self, index: int) -> np.ndarray:
        """float64, (2,): x, y, from where it is first seen to where it is last seen, as shares of the image."""
        path = self.clip.centres[self.clip.seen[:, index], index]
        return np.asarray(path[-1] - path[0])

    def measure_speed(self, index: int) -> float:
        """Mean distance a frame while it is seen, as a share of the image."""
        path = self.clip.centres[self.clip.seen[:, index], index]
        return float(np.linalg.norm(np.diff(path, axis=0), axis=1).mean())

    def measure_growth(self, index: int) -> float:
        """The ratio of its last area to its first."""
        areas = self.clip.areas[self.clip.seen[:, index], index]
        return float(areas[-1] / areas[0])

    def measure_gap(self, index: int) -> float:
        """The fewest pixels between it and the landmark in any frame; 1 is side by side."""
        gaps = []
        for frame in self.clip.ids:
            if (frame == index + 1).any() and (frame == self.landmark + 1).any():
                others = (frame != self.landmark + 1).astype(np.uint8)
                far = cv2.distanceTransform(others, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
                gaps.append(float(far[frame == index + 1].min()))
        return min(gaps, default=float("inf"))


def _rank_events(times: dict[int, int]) -> list[int] | None:
    """The objects by time; None where there are fewer than two, or two are too close in time."""
    order = sorted(times, key=lambda index: times[index])
    close = any(times[b] - times[a] < MIN_FRAMES_BETWEEN for a, b in pairwise(order))
    return None if len(order) < 2 or close else order


def _find_entries(view: ClipView) -> dict[int, int]:
    return {index: time for index in view.asked if (time := view.find_entry(index)) is not None}


def _find_exits(view: ClipView) -> dict[int, int]:
    return {index: time for index in view.asked if (time := view.find_exit(index)) is not None}


def judge_entry_order(view: ClipView, place: int) -> Answer | None:
    """Of those that come in, one by the order of the frames in which they are first seen."""
    order = _rank_events(_find_entries(view))
    if order is None or place >= len(order) or (place == 1 and len(order) < 3):
        return None
    return Answer((order[place],), ALWAYS)


def judge_exit_order(view: ClipView, place: int) -> Answer | None:
    """Of those that leave, one by the order of the frames from which they are gone."""
    order = _rank_events(_find_exits(view))
    if order is None or place >= len(order) or (place == 1 and len(order) < 3):
        return None
    return Answer((order[place],), ALWAYS)


def judge_entering(view: ClipView) -> Answer | None:
    """All that are not seen in the first frame and are seen later."""
    return _select(view, [index in _find_entries(view) for index in view.asked])


def judge_leaving(view: ClipView) -> Answer | None:
    """All that are not seen in the last frame and are seen earlier."""
    return _select(view, [index in _find_exits(view) for index in view.asked])


def _select(view: ClipView, chosen: Sequence[bool]) -> Answer | None:
    """The chosen ones, if there are some, and some that are not."""
    return Answer(tuple(np.flatnonzero(chosen).tolist()), ALWAYS) if any(chosen) and not all(chosen) else None


def judge_entry_beside_landmark(view: ClipView, *, before: bool) -> Answer | None:
    """All that are first seen before (after) the frame in which the landmark is; it comes in as well."""
    entries, mark = _find_entries(view), view.find_entry(view.landmark)
    if mark is None or len(entries) < view.number:
        return None
    lead = np.array([mark - entries[index] for index in view.asked])
    return _select(view, ((lead > 0) == before).tolist()) if (abs(lead) >= MIN_FRAMES_BETWEEN).all() else None


def judge_time_of_event(view: ClipView, *, before: bool) -> Answer | None:
    """All of them, in the frames before (from) the one in which the landmark is first seen, or is gone."""
    entry, leave = view.find_entry(view.landmark), view.find_exit(view.landmark)
    time = leave if entry is None else entry
    if (entry is None) == (leave is None) or time is None or not MIN_FRAMES_MEANT <= time <= LENGTH - MIN_FRAMES_MEANT:
        return None
    if not view.clip.seen[:, : view.number].all():
        return None
    frames = (np.arange(LENGTH) < time) == before
    return Answer(tuple(view.asked), frames, "leaves" if entry is None else "enters")


def judge_direction(view: ClipView, axis: int, sign: int) -> Answer | None:
    """All whose centre ends clearly on that side of where it began, and moved mostly that way."""
    moved = np.array([view.measure_displacement(index) for index in view.asked])
    lead, aside = sign * moved[:, axis], abs(moved[:, 1 - axis])
    goes = (lead >= CLEARLY_MOVED) & (lead >= 2 * aside)
    return _select(view, goes.tolist()) if (goes | (lead <= STILL)).all() else None


def judge_speed(view: ClipView, *, fastest: bool) -> Answer | None:
    """The one whose centre moves farthest (least) in a frame, on the mean while it is seen; all of them move."""
    speeds = np.array([view.measure_speed(index) for index in view.asked])
    order = np.argsort(-speeds if fastest else speeds)
    ranked = np.sort(speeds)
    if (ranked[1:] < CLEARLY_FASTER * ranked[:-1]).any() or ranked[0] * LENGTH < STILL:
        return None
    return Answer((int(order[0]),), ALWAYS)


def judge_longest(view: ClipView) -> Answer | None:
    """The one that is seen in the most frames, three more than any other."""
    frames = view.clip.seen[:, : view.number].sum(axis=0)
    ranked = np.sort(frames)
    return Answer((int(frames.argmax()),), ALWAYS) if ranked[-1] - ranked[-2] >= 3 else None


def judge_passing(view: ClipView) -> Answer | None:
    """All that are on one side of the landmark's centre, left or right, when first seen, and on the other when last."""
    seen = view.clip.seen[:, : view.number] & view.clip.seen[:, [view.landmark]]
    lead = view.clip.centres[:, : view.number, 0] - view.clip.centres[:, [view.landmark], 0]
    sides = [lead[seen[:, index], index] for index in view.asked]
    if any(len(side) < 2 or min(abs(side[0]), abs(side[-1])) < CLEARLY_APART for side in sides):
        return None
    crossed = [bool((side > 0).any() and (side < 0).any()) for side in sides]
    passed = [bool(side[0] * side[-1] < 0) for side in sides]
    return _select(view, passed) if passed == crossed else None


def judge_touching(view: ClipView) -> Answer | None:
    """All that have a pixel beside one of the landmark in some frame; no other comes near it."""
    gaps = np.array([view.measure_gap(index) for index in view.asked])
    touching = gaps < 1.5
    return _select(view, touching.tolist()) if (touching | (gaps > GAP)).all() else None


def judge_growth(view: ClipView, *, grows: bool) -> Answer | None:
    """All whose area is clearly larger (smaller) when last seen than when first seen."""
    ratios = np.array([view.measure_growth(index) for index in view.asked])
    ratios = ratios if grows else 1 / ratios
    chosen = ratios >= CLEARLY_GROWN
    return _select(view, chosen.tolist()) if (chosen | (ratios <= SAME_SIZE)).all() else None


def judge_height(view: ClipView, *, above: bool) -> Answer | None:
    """The one asked object, in the frames in which its centre is higher (lower) than the landmark's."""
    if not view.clip.seen[:, [0, view.landmark]].all():
        return None
    lead = view.clip.centres[:, view.landmark, 1] - view.clip.centres[:, 0, 1]
    frames = (lead > 0) == above
    clear = (abs(lead) >= CLEARLY_APART).all() and MIN_FRAMES_MEANT <= frames.sum() <= LENGTH - MIN_FRAMES_MEANT
    return Answer((0,), frames) if clear else None
