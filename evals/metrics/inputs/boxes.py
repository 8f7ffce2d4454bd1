"""Boxes as COCO compares them: x, y, w, h in float64."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from evals.errors import ScoringError
from evals.metrics.inputs.entries import Name, resolve_name
from sam3_tool.masks import rle
from sam3_tool.masks.boxes import mask_to_box
from sam3_tool.masks.checks import is_number, shorten_value
from sam3_tool.masks.rle import RleMask

MAX_SIDE = 1e9
"""In pixels, either way: no image reaches so far, and the products of larger numbers are no numbers."""


def check_box(box: Any, name: Name) -> list[float]:
    """Return `box`, which must be four numbers. Raises ScoringError."""
    if isinstance(box, np.ndarray):
        box = box.tolist()
    if not isinstance(box, list | tuple) or len(box) != 4 or not all(is_number(side) for side in box):
        raise ScoringError(f"{resolve_name(name)}: `bbox` must be four numbers x, y, w, h, found {shorten_value(box)}")
    if not all(-MAX_SIDE <= side <= MAX_SIDE for side in box):  # NaN is not
        raise ScoringError(
            f"{resolve_name(name)}: `bbox` must be four numbers x, y, w, h of at most {MAX_SIDE:,.0f} pixels, found"
            f" {shorten_value(box)}"
        )
    return [float(side) for side in box]


def compute_box_ious(
    a: Sequence[Sequence[float]], b: Sequence[Sequence[float]], crowd: Sequence[bool] = ()
) -> np.ndarray:
    """float64, (len(a), len(b)); where `crowd[j]`, the intersection over the area of `a`'s box alone.

    0 for boxes that do not overlap, whatever their sizes; NaN where a side is NaN.

    >>> compute_box_ious([[0, 0, 2, 1]], [[1, 0, 2, 1], [1, 0, 2, 1]], [False, True]).round(3).tolist()
    [[0.333, 0.5]]
    """
    first, second = np.asarray(a, float).reshape(-1, 1, 4), np.asarray(b, float).reshape(1, -1, 4)
    with np.errstate(all="ignore"):
        sides = np.fmin(first[..., 2:] + first[..., :2], second[..., 2:] + second[..., :2]) - np.fmax(
            first[..., :2], second[..., :2]
        )
        inside, area = sides.prod(axis=-1), first[..., 2:].prod(axis=-1)
        union = area + second[..., 2:].prod(axis=-1) - inside
        if any(crowd):
            union = np.where(np.asarray(crowd, bool), area, union)
        return np.where((sides <= 0).any(axis=-1), 0.0, inside / union)


def compute_mask_box(mask: RleMask) -> list[float]:
    """The tight box of a mask in pixels; zeros for an empty one."""
    x0, y0, x1, y1 = mask_to_box(rle.decode_mask(mask))
    return [float(x0), float(y0), float(x1 - x0), float(y1 - y0)]
