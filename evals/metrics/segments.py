"""Masks as benchmark files store them: COCO run lengths, lists of runs, polygons."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from evals.metrics.entries import Entry, ScoringError, field
from sam3_tool import rle
from sam3_tool.rle import Rle

_LETTERS_OF_A_RUN = 6
"""At most: 30 bits, which any picture's runs fit into."""


def to_rle(segmentation: Any, picture: Entry, name: Callable[[], str]) -> Rle:
    """Any form COCO allows: `{"size", "counts"}` compressed or as a list of runs, or polygons (their union).

    `picture` gives the `height` and `width` that polygons are drawn in.
    """
    match segmentation:
        case Rle():
            return segmentation
        case {"size": [_, _], "counts": str() | bytes()}:
            return Rle.from_coco(segmentation)
        case {"size": [height, width], "counts": list(runs)}:
            return _from_runs(runs, int(height), int(width), name)
        case [first, *_] if isinstance(first, list):
            return rle.merge(_drawn(segmentation, picture, name))
    raise ScoringError(f"{name()}: `segmentation` must be run lengths with a size, or polygons")


def _from_runs(runs: Sequence[int], height: int, width: int, name: Callable[[], str]) -> Rle:
    if min(runs, default=0) < 0 or sum(runs) != height * width:
        raise ScoringError(f"{name()}: the runs do not make up a mask of {width} x {height} pixels")
    values = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    return rle.encode(values.reshape(width, height).T)


def _drawn(polygons: Sequence[Sequence[float]], picture: Entry, name: Callable[[], str]) -> list[Rle]:
    height, width = (int(field(picture, side, lambda: f"the picture of {name()}")) for side in ("height", "width"))
    try:
        return rle.from_polygons(polygons, height, width)
    except Exception as error:  # pycocotools raises bare Exceptions
        raise ScoringError(f"{name()}: `segmentation` holds no polygons ({error})") from error


def check(mask: Rle, name: Callable[[], str]) -> None:
    """Raises ScoringError for a mask whose runs do not fill it exactly: comparing such masks may never end."""
    height, width = mask.size
    if _pixels(mask.counts) != height * width:
        raise ScoringError(f"{name()}: the runs do not make up a mask of {width} x {height} pixels")


def _pixels(counts: str) -> int:
    """How many pixels the runs make up; -1 where the text is no run lengths. What `rle.check` does, for many masks."""
    letters = np.frombuffer(counts.encode(), np.uint8).astype(np.int64) - 48
    if not len(letters):
        return 0
    ends = np.flatnonzero(letters < 32)
    if letters.min() < 0 or letters.max() > 63 or not len(ends) or ends[-1] != len(letters) - 1:
        return -1
    starts = np.append(0, ends[:-1] + 1)
    place = np.arange(len(letters)) - np.repeat(starts, ends - starts + 1)
    if place.max() >= _LETTERS_OF_A_RUN:
        return -1
    values = np.add.reduceat((letters & 31) << (5 * place), starts)
    values -= np.where(letters[ends] & 16, 1 << (5 * (place[ends] + 1)), 0)
    # from the fourth run on, a run is stored as its difference from the last but one
    runs = np.concatenate([values[:1], np.cumsum(values[1::2]), np.cumsum(values[2::2])])
    return int(runs.sum()) if runs.min() >= 0 else -1
