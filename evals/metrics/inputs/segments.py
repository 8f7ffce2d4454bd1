"""Masks as benchmark files store them: COCO run lengths, lists of runs, polygons."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from evals.errors import ScoringError
from evals.metrics.inputs.entries import Entry, get_field
from sam3_tool.masks import rle
from sam3_tool.masks.rle import RleMask


def to_rle(segmentation: Any, image: Entry, name: Callable[[], str]) -> RleMask:
    """Any form COCO allows: `{"size", "counts"}` compressed or as a list of runs, or polygons (their union).

    `image` gives the `height` and `width` that polygons are drawn in. Raises ScoringError.
    """
    try:
        return _parse_segmentation(segmentation, image, name)
    except ScoringError:
        raise
    except (TypeError, ValueError, OverflowError) as error:  # of what stands where numbers should
        raise ScoringError(f"{name()}: {_FORMS} ({error})") from error


_FORMS = "`segmentation` must be run lengths with a size, or polygons"


def _parse_segmentation(segmentation: Any, image: Entry, name: Callable[[], str]) -> RleMask:
    match segmentation:
        case RleMask():
            return segmentation
        case {"size": [_, _], "counts": str() | bytes()}:
            return RleMask.from_coco(segmentation)
        case {"size": [height, width], "counts": list(runs)}:
            return _encode_runs(runs, int(height), int(width), name)
        case [first, *_] if isinstance(first, list):
            return rle.merge_masks(_draw_polygons(segmentation, image, name))
    raise ScoringError(f"{name()}: {_FORMS}")


def _encode_runs(runs: Sequence[int], height: int, width: int, name: Callable[[], str]) -> RleMask:
    if min(runs, default=0) < 0 or sum(runs) != height * width:
        raise ScoringError(f"{name()}: the runs do not make up a mask of {width} x {height} pixels")
    values = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    return rle.encode_mask(values.reshape(width, height).T)


def _draw_polygons(polygons: Sequence[Sequence[float]], image: Entry, name: Callable[[], str]) -> list[RleMask]:
    height, width = (int(get_field(image, side, lambda: f"the image of {name()}")) for side in ("height", "width"))
    try:
        return rle.from_polygons(polygons, height, width)
    except Exception as error:  # pycocotools raises bare Exceptions
        raise ScoringError(f"{name()}: `segmentation` holds no polygons ({error})") from error


def check_mask(mask: RleMask, name: Callable[[], str]) -> None:
    """Raises ScoringError for a mask whose runs do not fill it exactly: comparing such masks may never end."""
    try:
        rle.check_runs(mask)
    except ValueError as error:
        raise ScoringError(f"{name()}: {error}") from error
