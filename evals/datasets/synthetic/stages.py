"""Where objects go in a clip so that something can be asked about it: curves along one axis, one lane an object.

A lane is a row of the image where things move sideways, and a column where they move up and down. Objects in lanes of
their own never hide each other. Positions are shares of the image along the axis; below 0 and above 1 is outside.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

LENGTH = 20
"""Frames."""
OUTSIDE = 0.25
"""How far beyond the border an object waits."""
_TIMES = np.arange(LENGTH)


@dataclass(frozen=True, eq=False)
class Part:
    """One object's movement."""

    along: np.ndarray
    """float64, (T,), its position along the axis."""
    zoom: np.ndarray
    """float64, (T,), its size."""
    lane_of_landmark: bool = False
    """True if it moves in the landmark's lane, and so meets it."""


@dataclass(frozen=True, eq=False)
class Stage:
    """The movements of all objects of a clip."""

    asked: list[Part]
    """Of the objects that one noun names."""
    landmark: Part | None = None
    """Of the one object of another noun that is spoken of."""
    extra: Part | None = None
    """Of an object that is not spoken of, often one that does what is asked."""
    upright: bool = False
    """True if the axis is the vertical one."""


def draw_curve(times: list[float], places: list[float]) -> np.ndarray:
    """float64, (T,): from place to place in straight lines."""
    return np.asarray(np.interp(_TIMES, times, places))


def _move(times: list[float], places: list[float]) -> Part:
    return Part(draw_curve(times, places), np.ones(LENGTH))


def _stand(place: float) -> Part:
    return _move([0], [place])


def _live(rng: np.random.Generator, enter: int | None, leave: int | None) -> Part:
    """Come in at about the frame `enter`, be gone at about `leave`; None: there from the start, there to the end."""
    place = rng.uniform(0.3, 0.7)
    first, second = (float(rng.choice([-OUTSIDE, 1 + OUTSIDE])) for _ in range(2))
    times: list[float] = [] if enter is None else [enter - 1, enter + 2]
    places = [] if enter is None else [first, place]
    times += [] if leave is None else [leave - 3, leave]
    places += [] if leave is None else [place, second]
    return _move(times, places) if times else _stand(place)


def _choose_times(rng: np.random.Generator, number: int, low: int, high: int) -> list[int]:
    """Choose frames that are three apart, in any order, from `low` to `high`."""
    room = high - low - 3 * (number - 1)
    steps = np.sort(rng.integers(0, room + 1, number))
    return [int(low + step + 3 * place) for place, step in enumerate(steps)][:: int(rng.choice([1, -1]))]


def _shuffle(rng: np.random.Generator, parts: list[Part]) -> list[Part]:
    return [parts[place] for place in rng.permutation(len(parts))]


def stage_entries(rng: np.random.Generator) -> Stage:
    """Two to four come in, one after the other; at times another one is there from the start."""
    number = int(rng.integers(2, 4))
    asked = [_live(rng, time, None) for time in _choose_times(rng, number, 4, 15)]
    asked += [_live(rng, None, None)] if rng.random() < 0.4 else []
    return Stage(_shuffle(rng, asked), extra=_live(rng, 2, None) if rng.random() < 0.5 else None)


def stage_exits(rng: np.random.Generator) -> Stage:
    """Two to four leave, one after the other; at times another one stays."""
    number = int(rng.integers(2, 4))
    asked = [_live(rng, None, time) for time in _choose_times(rng, number, 5, 16)]
    asked += [_live(rng, None, None)] if rng.random() < 0.4 else []
    return Stage(_shuffle(rng, asked), extra=_live(rng, None, 17) if rng.random() < 0.5 else None)


def stage_comers(rng: np.random.Generator) -> Stage:
    """Some come in, the others are there from the start, and stay or leave."""
    comers, others = int(rng.integers(1, 3)), int(rng.integers(1, 3))
    asked = [_live(rng, int(time), None) for time in rng.integers(4, 14, comers)]
    asked += [_live(rng, None, 15 if rng.random() < 0.4 else None) for _ in range(others)]
    return Stage(_shuffle(rng, asked), extra=_live(rng, 5, None) if rng.random() < 0.5 else None)


def stage_leavers(rng: np.random.Generator) -> Stage:
    """Some leave, the others stay, and are there from the start or come in."""
    leavers, others = int(rng.integers(1, 3)), int(rng.integers(1, 3))
    asked = [_live(rng, None, int(time)) for time in rng.integers(6, 16, leavers)]
    asked += [_live(rng, 5 if rng.random() < 0.4 else None, None) for _ in range(others)]
    return Stage(_shuffle(rng, asked), extra=_live(rng, None, 9) if rng.random() < 0.5 else None)


def stage_entries_with_landmark(rng: np.random.Generator) -> Stage:
    """All come in, the landmark too, some before it and some after it."""
    *times, between = _choose_times(rng, int(rng.integers(3, 5)), 4, 15)
    order = rng.permutation([*times, between]).tolist()
    return Stage([_live(rng, int(time), None) for time in order[1:]], landmark=_live(rng, int(order[0]), None))


def stage_event(rng: np.random.Generator) -> Stage:
    """All are there the whole time; the landmark comes in, or leaves, half-way."""
    comes = rng.random() < 0.5
    time = int(rng.integers(7, 14))
    asked = [_move([0, LENGTH - 1], rng.uniform(0.2, 0.8, 2).tolist()) for _ in range(int(rng.integers(1, 3)))]
    return Stage(asked, landmark=_live(rng, *((time, None) if comes else (None, time))), extra=_stand(0.5))


def stage_spans(rng: np.random.Generator) -> Stage:
    """All come and go; one stays much longer than the others."""
    number = int(rng.integers(2, 4))
    starts = rng.integers(4, 7, number)
    stops = [17, *(starts[1:] + 7).tolist()]
    asked = [_live(rng, int(start), int(stop)) for start, stop in zip(starts, stops, strict=True)]
    return Stage(_shuffle(rng, asked), extra=_live(rng, None, None) if rng.random() < 0.5 else None)


def _travel(rng: np.random.Generator, forwards: bool, far: float) -> Part:
    """Go `far` along the axis, inside the image, the whole time."""
    start = rng.uniform(0.15, 0.85 - far)
    places = [start, start + far]
    return _move([0, LENGTH - 1], places if forwards else places[::-1])


def stage_directions(rng: np.random.Generator, *, forwards: bool, upright: bool) -> Stage:
    """One or two go this way; the others go the other way or stand still."""
    movers, others = int(rng.integers(1, 3)), int(rng.integers(1, 3))
    asked = [_travel(rng, forwards, rng.uniform(0.35, 0.6)) for _ in range(movers)]
    asked += [
        _travel(rng, not forwards, rng.uniform(0.35, 0.6)) if rng.random() < 0.6 else _stand(rng.uniform(0.2, 0.8))
        for _ in range(others)
    ]
    extra = _travel(rng, forwards, 0.5) if rng.random() < 0.5 else None
    return Stage(_shuffle(rng, asked), extra=extra, upright=upright)


def stage_speeds(rng: np.random.Generator) -> Stage:
    """All move, each clearly faster than the one before."""
    number = int(rng.integers(2, 4))
    asked = [_travel(rng, bool(rng.random() < 0.5), far) for far in (0.12, 0.28, 0.62)[3 - number :]]
    extra = _travel(rng, bool(rng.random() < 0.5), float(rng.choice([0.05, 0.68]))) if rng.random() < 0.5 else None
    return Stage(_shuffle(rng, asked), extra=extra)


def stage_passes(rng: np.random.Generator) -> Stage:
    """The landmark stands; one or two go past it, the others keep to one side."""
    asked = [
        _move([0, LENGTH - 1], [0.15, 0.85] if rng.random() < 0.5 else [0.85, 0.15])
        for _ in range(int(rng.integers(1, 3)))
    ]
    for _ in range(int(rng.integers(1, 3))):
        near, far = (0.15, 0.32) if rng.random() < 0.5 else (0.85, 0.68)
        asked.append(_move([0, LENGTH - 1], [near, far] if rng.random() < 0.5 else [far, near]))
    return Stage(_shuffle(rng, asked), landmark=_stand(rng.uniform(0.46, 0.54)))


def stage_touches(rng: np.random.Generator) -> Stage:
    """The landmark stands; one comes up to it in its lane, and stays or goes back; others move elsewhere."""
    start = float(rng.choice([0.08, 0.92]))
    back = start if rng.random() < 0.5 else 0.5
    touching = Part(draw_curve([0, 12, LENGTH - 1], [start, 0.5, back]), np.ones(LENGTH), lane_of_landmark=True)
    others = [_travel(rng, bool(rng.random() < 0.5), 0.4) for _ in range(int(rng.integers(1, 3)))]
    return Stage(_shuffle(rng, [touching, *others]), landmark=_stand(0.5))


def stage_sizes(rng: np.random.Generator, *, grows: bool) -> Stage:
    """One or two grow, or shrink; the others keep their size or do the opposite."""

    def change_size(bigger: bool) -> Part:
        sizes = [0.5, 1.0] if bigger else [1.0, 0.5]
        return Part(draw_curve([0], [rng.uniform(0.25, 0.75)]), draw_curve([1, LENGTH - 2], sizes))

    asked = [change_size(grows) for _ in range(int(rng.integers(1, 3)))]
    asked += [
        change_size(not grows) if rng.random() < 0.5 else _travel(rng, True, 0.3)
        for _ in range(int(rng.integers(1, 3)))
    ]
    return Stage(_shuffle(rng, asked), extra=change_size(grows) if rng.random() < 0.4 else None)


def stage_heights(rng: np.random.Generator) -> Stage:
    """The landmark stands half-way up; one goes from above it to below it, or the other way."""
    ends = rng.permutation([0.14, 0.86]).tolist()
    return Stage([_move([6, 13], ends)], landmark=_stand(0.5), extra=_stand(0.2), upright=True)


StageFn = Callable[[np.random.Generator], Stage]
