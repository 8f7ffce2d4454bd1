"""Masks as geometry works on them: cut to their boxes, with what predicates need of them computed once.

Exact for images up to `LONGEST_SIDE` pixels. Larger masks are pooled to at most that side first: a pooled pixel is
set when any of its pixels is.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import cv2
import numpy as np

from agent.tools.geometry.terms import SAME_OBJECT
from sam3_tool.masks.boxes import mask_to_box
from sam3_tool.masks.rle import RleMask, decode_columns

Masks: TypeAlias = np.ndarray | Sequence[RleMask]
"""Of one image: bool, (N, H, W), or compressed, which is quicker as only what the masks touch is ever decoded."""
PixelBox: TypeAlias = tuple[int, int, int, int]
"""x0 y0 x1 y1 in pixels, x1 and y1 exclusive."""
LONGEST_SIDE = 2048
"""Pixels; the longer side of the masks that geometry is computed on."""


@dataclass(frozen=True, eq=False)
class Shape:
    """One mask, with what the predicates need of it computed once."""

    crop: np.ndarray
    """bool: the mask within its box; (0, 0) for an empty one."""
    left: int
    top: int
    """Where the box begins in the image; 0 for an empty mask."""
    height: int
    width: int
    """Of the image."""

    @property
    def box(self) -> PixelBox:
        """All 0 for an empty mask."""
        return self.left, self.top, self.left + self.crop.shape[1], self.top + self.crop.shape[0]

    @cached_property
    def area(self) -> int:
        return int(np.count_nonzero(self.crop))

    @cached_property
    def centroid(self) -> tuple[float, float]:
        """x, y of the mean pixel; NaN for an empty mask, so that every comparison fails."""
        x, y = compute_centroid(self.crop)
        return x + self.left, y + self.top

    @property
    def x(self) -> float:
        return self.centroid[0]

    @property
    def y(self) -> float:
        return self.centroid[1]

    @property
    def size(self) -> float:
        """The geometric mean of the box's sides, pixels."""
        x0, y0, x1, y1 = self.box
        return float(np.sqrt((x1 - x0) * (y1 - y0)))

    @cached_property
    def outline(self) -> np.ndarray:
        """bool, as `crop`: the mask with its holes filled."""
        contours, _ = cv2.findContours(self.crop.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        filled = np.zeros(self.crop.shape, dtype=np.uint8)
        return cv2.drawContours(filled, contours, -1, 1, thickness=cv2.FILLED).astype(bool)

    @cached_property
    def edge(self) -> np.ndarray:
        """int32, (K, 2), x y in the image: the pixels of the (not empty) mask with a neighbour that is not of it."""
        pixels = self.crop.view(np.uint8)
        cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
        inner = cv2.erode(pixels, cross, borderType=cv2.BORDER_CONSTANT, borderValue=0)
        return cv2.findNonZero(pixels - inner).reshape(-1, 2) + np.array([self.left, self.top], np.int32)

    @cached_property
    def hull(self) -> np.ndarray:
        """bool, as `crop`: the convex hull of the mask."""
        filled = np.zeros(self.crop.shape, dtype=np.uint8)
        return cv2.fillConvexPoly(filled, cv2.convexHull(self._row_ends), 1).astype(bool)

    @property
    def _row_ends(self) -> np.ndarray:
        """int32, (K, 2), x y in the crop: the first and last pixel of each row, which hold all corners of the hull."""
        rows = np.flatnonzero(self.crop.any(axis=1))
        first = self.crop[rows].argmax(axis=1)
        last = self.crop.shape[1] - 1 - self.crop[rows, ::-1].argmax(axis=1)
        return np.stack([np.concatenate([first, last]), np.tile(rows, 2)], axis=1).astype(np.int32)

    def cut_part(self, x0: int, y0: int, x1: int, y1: int) -> np.ndarray:
        """bool, (y1 - y0, x1 - x0): the mask in this part of the image."""
        part = np.zeros((y1 - y0, x1 - x0), dtype=bool)
        common = intersect_boxes(self.box, (x0, y0, x1, y1))
        if common is not None:
            part[slice_box(common, x0, y0)] = self.crop[slice_box(common, self.left, self.top)]
        return part


def to_shapes(masks: Masks, step: int | None = None) -> list[Shape]:
    """The masks that geometry is computed on, at most `LONGEST_SIDE` pixels long if no `step` of pooling is given."""
    step = compute_pooling(masks) if step is None else step
    return [_to_shape(mask, step) for mask in masks]


def compute_pooling(masks: Masks) -> int:
    height, width = _get_mask_size(masks[0]) if len(masks) else (1, 1)
    return max(1, -(-max(height, width) // LONGEST_SIDE))


def _get_mask_size(mask: np.ndarray | RleMask) -> tuple[int, int]:
    return mask.size if isinstance(mask, RleMask) else (mask.shape[0], mask.shape[1])


def _to_shape(mask: np.ndarray | RleMask, step: int) -> Shape:
    """The mask, pooled: a pixel is set when any of the `step` x `step` that it stands for is."""
    left, near = (0, mask) if isinstance(mask, np.ndarray) else _decode_touched_columns(mask)
    x0, y0, x1, y1 = mask_to_box(near)
    crop, x0 = near[y0:y1, x0:x1], left + x0
    height, width = (-(-side // step) for side in _get_mask_size(mask))
    return Shape(np.ascontiguousarray(_pool_crop(crop, x0, y0, step)), x0 // step, y0 // step, height, width)


def _decode_touched_columns(rle: RleMask) -> tuple[int, np.ndarray]:
    """The first column that the mask touches, and the mask, bool (H, W'), from there to the last one."""
    left, columns = decode_columns(rle)
    return left, columns.T


def _pool_crop(crop: np.ndarray, x: int, y: int, step: int) -> np.ndarray:
    """`crop`: bool, a part of the image that begins at x, y, which need not be multiples of `step`."""
    if step == 1 or crop.size == 0:
        return crop
    height, width = crop.shape
    before = y % step, x % step
    padded = np.pad(
        crop, [(start, -(start + side) % step) for start, side in zip(before, (height, width), strict=True)]
    )
    return np.asarray(padded.reshape(padded.shape[0] // step, step, -1, step).any(axis=(1, 3)))


def compute_centroid(mask: np.ndarray, left: int = 0, top: int = 0) -> tuple[float, float]:
    """x, y of the mean pixel of a mask that begins at `left`, `top`; NaN for an empty one."""
    columns, rows = mask.sum(axis=0), mask.sum(axis=1)
    area = int(columns.sum())
    if area == 0:
        return float("nan"), float("nan")
    x, y = columns @ (left + np.arange(len(columns))), rows @ (top + np.arange(len(rows)))
    return float(x) / area, float(y) / area


def intersect_boxes(a: PixelBox, b: PixelBox) -> PixelBox | None:
    """The part that two boxes share; None where there is none."""
    x0, y0 = max(a[0], b[0]), max(a[1], b[1])
    x1, y1 = min(a[2], b[2]), min(a[3], b[3])
    return (x0, y0, x1, y1) if x0 < x1 and y0 < y1 else None


def slice_box(box: PixelBox, left: int, top: int) -> tuple[slice, slice]:
    """Slice the box out of an array that begins at `left`, `top`."""
    x0, y0, x1, y1 = box
    return slice(y0 - top, y1 - top), slice(x0 - left, x1 - left)


def count_shared(a: Shape, of_a: np.ndarray, b: Shape, of_b: np.ndarray) -> int:
    """Count the pixels that two crops (of `a` and of `b`) have in common."""
    common = intersect_boxes(a.box, b.box)
    if common is None:
        return 0
    return int(np.count_nonzero(of_a[slice_box(common, a.left, a.top)] & of_b[slice_box(common, b.left, b.top)]))


def is_same_object(a: Shape, b: Shape) -> bool:
    if min(a.area, b.area) <= SAME_OBJECT * max(a.area, b.area):
        return False  # even if one lay within the other; most pairs need not be compared
    shared = count_shared(a, a.crop, b, b.crop)
    return shared > SAME_OBJECT * (a.area + b.area - shared)


def stack_boxes(shapes: list[Shape]) -> np.ndarray:
    """int64, (N, 4), x0 y0 x1 y1."""
    return np.array([shape.box for shape in shapes], np.int64).reshape(-1, 4)
