"""The text of an answer: one line per frame, with the box and the mask of each object on it."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from sam3_tool.masks.range_coded.encoding import MaskEncoding, encode_mask


@dataclass(frozen=True, eq=False)
class FoundObject:
    """One object on one frame."""

    id: int
    mask: np.ndarray
    """bool, (height, width) of the frame."""
    confidence: float
    """In [0, 1]."""


def write_frame(
    frame: int, objects: Iterable[FoundObject], *, encoding: MaskEncoding = "lossless", has_confidence: bool = False
) -> str:
    r"""Write what was found on a frame.

    Args:
        frame: Its number from 0; an image is frame 0.
        objects: What was found. Those without a pixel are left out.
        encoding: Of the masks.
        has_confidence: Whether boxes and masks say how sure they are.

    Returns:
        A line that ends in a line feed, or "" where there is nothing. Boxes are the extents of the masks.

    >>> mask = np.zeros((4, 6), bool)
    >>> mask[1:3, 2:5] = True
    >>> write_frame(0, [FoundObject(3, mask, 0.9)], encoding="one_bit")
    '<0f>3<|box;x1=2;y1=1;x2=4;y2=2;w=6;h=4|><|mask;x=0;y=0;data=2,3,!!!!!&w{Dcs|>\n'
    """
    written = [_write_object(found, encoding, has_confidence) for found in objects if found.mask.any()]
    return f"<{frame}f>{','.join(written)}\n" if written else ""


def _write_object(found: FoundObject, encoding: MaskEncoding, has_confidence: bool) -> str:
    height, width = found.mask.shape
    rows, columns = np.flatnonzero(found.mask.any(axis=1)), np.flatnonzero(found.mask.any(axis=0))
    top, bottom, left, right = int(rows[0]), int(rows[-1]), int(columns[0]), int(columns[-1])
    inside = found.mask[top : bottom + 1, left : right + 1]
    # rounding may not leave the range that parsers accept
    sure = f"c={min(1.0, max(0.0, found.confidence)):.4f}" if has_confidence else ""
    box = [f"x1={left}", f"y1={top}", f"x2={right}", f"y2={bottom}", f"w={width}", f"h={height}", sure]
    mask = ["x=0", "y=0", sure, f"data={inside.shape[0]},{inside.shape[1]},{encode_mask(inside, encoding)}"]
    return f"{found.id}<|box;{_join(box)}|><|mask;{_join(mask)}|>"


def _join(fields: list[str]) -> str:
    return ";".join(filter(None, fields))
