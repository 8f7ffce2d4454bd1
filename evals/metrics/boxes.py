"""Boxes as COCO compares them: x, y, w, h in float64."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from evals.metrics.entries import ScoringError, named
from sam3_tool import rle
from sam3_tool.boxes import tight
from sam3_tool.rle import Rle


def checked(box: Any, name: Callable[[], str] | str) -> list[float]:
    """`box`, which must be four numbers."""
    if isinstance(box, np.ndarray):
        box = box.tolist()
    if not isinstance(box, list | tuple) or len(box) != 4 or not all(isinstance(side, int | float) for side in box):
        raise ScoringError(f"{named(name)}: `bbox` must be four numbers x, y, w, h, found {box!r}")
    try:
        return [float(side) for side in box]
    except OverflowError as error:  # an integer of hundreds of digits
        raise ScoringError(f"{named(name)}: `bbox` must be four numbers x, y, w, h ({error})") from error


def ious(a: Sequence[Sequence[float]], b: Sequence[Sequence[float]], crowd: Sequence[bool] = ()) -> np.ndarray:
    """float64, (len(a), len(b)); where `crowd[j]`, the intersection over the area of `a`'s box alone.

    0 for boxes that do not overlap, whatever their sizes; NaN where a side is NaN.

    >>> ious([[0, 0, 2, 1]], [[1, 0, 2, 1], [1, 0, 2, 1]], [False, True]).round(3).tolist()
    [[0.333, 0.5]]
    """
    one, two = np.asarray(a, float).reshape(-1, 1, 4), np.asarray(b, float).reshape(1, -1, 4)
    with np.errstate(all="ignore"):
        sides = np.fmin(one[..., 2:] + one[..., :2], two[..., 2:] + two[..., :2]) - np.fmax(one[..., :2], two[..., :2])
        inside, area = sides.prod(axis=-1), one[..., 2:].prod(axis=-1)
        union = area + two[..., 2:].prod(axis=-1) - inside
        if any(crowd):
            union = np.where(np.asarray(crowd, bool), area, union)
        return np.where((sides <= 0).any(axis=-1), 0.0, inside / union)


def of_mask(mask: Rle) -> list[float]:
    """The tight box of a mask in pixels; zeros for an empty one."""
    x0, y0, x1, y1 = tight(rle.decode(mask))
    return [float(x0), float(y0), float(x1 - x0), float(y1 - y0)]
