"""Masks as benchmark files store them: COCO run lengths, lists of runs, polygons."""

from collections.abc import Callable, Mapping
from typing import Any

from evals.errors import ScoringError
from evals.metrics.inputs.entries import Entry, Name, get_field, resolve_name
from sam3_tool.masks import rle
from sam3_tool.masks.checks import check_size, shorten_value
from sam3_tool.masks.rle import RleMask

_FORMS = "`segmentation` must be run lengths with a size"


def to_rle(segmentation: Any, image: Entry, name: Callable[[], str]) -> RleMask:
    """Read any form COCO allows: `{"size", "counts"}` compressed or as a list of runs, or polygons (their union).

    The mask is checked: it is as large as it says, and can be compared. `image` gives the `height` and `width` that
    polygons are drawn in; where it is empty, polygons are refused. Raises ScoringError.
    """
    parts = read_parts(segmentation, image, name)
    return parts[0] if len(parts) == 1 else rle.merge_masks(parts)


def read_parts(segmentation: Any, image: Entry, name: Callable[[], str]) -> list[RleMask]:
    """Read the parts of a mask, as `to_rle` reads the whole: one or more, the polygons one by one."""
    try:
        match segmentation:
            case RleMask(size=(height, width), counts=counts) | {"size": [height, width], "counts": counts}:
                return [_read_run_lengths(counts, height, width)]
            case [[*_], *_] | [_, [*_], *_] if image:
                return rle.from_polygons(segmentation, *read_image_size(image, lambda: f"the image of {name()}"))
    except ScoringError:
        raise
    except ValueError as error:
        raise ScoringError(f"{name()}: {error}") from error
    forms = f"{_FORMS}, or polygons" if image else _FORMS
    raise ScoringError(f"{name()}: {forms}, found {_describe_form(segmentation)}")


def read_image_size(image: Entry, name: Name) -> tuple[int, int]:
    """Read (height, width) of an entry of `images`. Raises ScoringError."""
    height, width = (get_field(image, side, name) for side in ("height", "width"))
    try:
        return check_size(height, width)
    except ValueError as error:
        raise ScoringError(f"{resolve_name(name)}: {error}") from error


def _read_run_lengths(counts: Any, height: Any, width: Any) -> RleMask:
    size = check_size(height, width)
    if isinstance(counts, list | tuple):
        return rle.from_runs(counts, *size)
    if not isinstance(counts, str | bytes):
        raise ValueError(f"`counts` must be a text or a list of runs, found {shorten_value(counts)}")
    mask = RleMask.from_coco({"size": size, "counts": counts})
    rle.check_runs(mask)
    return mask


def _describe_form(segmentation: Any) -> str:
    if isinstance(segmentation, Mapping) and "size" in segmentation and "counts" in segmentation:
        return f"the size {shorten_value(segmentation['size'])}, which is no [height, width]"
    return shorten_value(segmentation)
