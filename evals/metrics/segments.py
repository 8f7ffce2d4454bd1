"""Masks as benchmark files store them: COCO run lengths, lists of runs, polygons."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from evals.metrics.entries import Entry, ScoringError, field
from sam3_tool import rle
from sam3_tool.rle import Rle


def to_rle(segmentation: Any, picture: Entry, name: Callable[[], str]) -> Rle:
    """Any form COCO allows: `{"size", "counts"}` compressed or as a list of runs, or polygons (their union).

    `picture` gives the `height` and `width` that polygons are drawn in. Raises ScoringError.
    """
    try:
        return _read(segmentation, picture, name)
    except ScoringError:
        raise
    except (TypeError, ValueError, OverflowError) as error:  # of what stands where numbers should
        raise ScoringError(f"{name()}: {_FORMS} ({error})") from error


_FORMS = "`segmentation` must be run lengths with a size, or polygons"


def _read(segmentation: Any, picture: Entry, name: Callable[[], str]) -> Rle:
    match segmentation:
        case Rle():
            return segmentation
        case {"size": [_, _], "counts": str() | bytes()}:
            return Rle.from_coco(segmentation)
        case {"size": [height, width], "counts": list(runs)}:
            return _from_runs(runs, int(height), int(width), name)
        case [first, *_] if isinstance(first, list):
            return rle.merge(_drawn(segmentation, picture, name))
    raise ScoringError(f"{name()}: {_FORMS}")


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
    try:
        rle.check(mask)
    except ValueError as error:
        raise ScoringError(f"{name()}: {error}") from error
