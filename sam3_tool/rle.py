"""COCO run-length masks: the only module that knows pycocotools."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pycocotools import mask as coco

from sam3_tool.boxes import tight, xywh_to_xyxy

_MOST_AREAS = 255
"""Masks that pycocotools measures in one call: it counts them in a byte."""
_RUN_LETTERS = 6
"""Of one run, which any picture's fit into; pycocotools shifts 32-bit numbers and reads longer ones as others."""
_STRANGE, _TOO_LONG, _UNENDED = re.compile("[^0-o]"), re.compile(f"[P-o]{{{_RUN_LETTERS}}}"), re.compile(r"[P-o]\Z")
"""A letter has six bits, from "0"; the highest, from "P", says that its run goes on."""

DENSE = 64
"""A mask with more run ends than one in so many pixels is encoded pixel by pixel: there are too many to sort."""


@dataclass(frozen=True)
class Rle:
    """One mask, compressed as COCO does: runs down the columns, lengths delta-coded into ASCII."""

    size: tuple[int, int]
    """(height, width) in pixels."""
    counts: str

    def to_coco(self) -> dict[str, Any]:
        """`{"size": [h, w], "counts": str}`: what pycocotools and COCO files read.

        >>> encode(np.ones((2, 3), bool)).to_coco()
        {'size': [2, 3], 'counts': '06'}
        """
        return {"size": list(self.size), "counts": self.counts}

    @classmethod
    def from_coco(cls, segmentation: dict[str, Any]) -> "Rle":
        height, width = segmentation["size"]
        counts = segmentation["counts"]
        return cls((int(height), int(width)), counts.decode() if isinstance(counts, bytes) else counts)


def encode(mask: np.ndarray) -> Rle:
    """`mask`: bool, (H, W)."""
    return encode_at(mask, 0, 0, *mask.shape)


def encode_at(mask: np.ndarray, left: int, top: int, height: int, width: int) -> Rle:
    """`mask`: bool, (H', W'), a part of a mask of this height and width that begins at column `left` and row `top`, and
    outside of which that has no pixel."""
    x0, y0, x1, y1 = tight(mask)
    crop = mask[y0:y1, x0:x1]
    changes = np.concatenate([crop[:1], crop[1:] != crop[:-1], crop[-1:]])
    if np.count_nonzero(changes) * DENSE > mask.size:
        whole = np.zeros((height, width), np.uint8, order="F")
        whole[top : top + mask.shape[0], left : left + mask.shape[1]] = mask
        return Rle.from_coco(coco.encode(whole))
    y, x = np.divmod(np.flatnonzero(changes), max(1, x1 - x0))
    ends = np.sort((x + x0 + left) * height + y + y0 + top)
    return from_ends(_without_pairs(ends), height, width)


def encode_all(masks: np.ndarray) -> list[Rle]:
    """`masks`: bool, (N, H, W)."""
    return [encode(mask) for mask in masks]


def _without_pairs(ends: np.ndarray) -> np.ndarray:
    """Ascending: a run that ends where the next one begins, at the top of the next column, goes on there."""
    first = np.flatnonzero(ends[1:] == ends[:-1])
    return np.delete(ends, np.concatenate([first, first + 1]))


def from_ends(ends: np.ndarray, height: int, width: int) -> Rle:
    """`ends`: int, (R,), ascending: where a run ends and another begins, counted down the columns. The first run is
    of zeros and ends at 0 if the mask has its first pixel."""
    lengths = np.diff(ends, prepend=0, append=height * width).tolist()
    lengths = lengths if lengths[-1] else lengths[:-1]
    return Rle.from_coco(coco.frPyObjects({"size": [height, width], "counts": lengths}, height, width))


def from_polygons(polygons: Sequence[Sequence[float]], height: int, width: int) -> list[Rle]:
    """One mask per polygon, each x0, y0, x1, y1, … in pixels: COCO's rasteriser."""
    return [Rle.from_coco(one) for one in coco.frPyObjects(list(polygons), height, width)] if polygons else []


def decode(rle: Rle) -> np.ndarray:
    """bool, (H, W)."""
    return np.asarray(coco.decode(rle.to_coco())).view(bool)


def decode_columns(rle: Rle) -> tuple[int, np.ndarray]:
    """The first column that the mask touches, and bool (W', H), one row for each column from there to the last one.

    Many times faster than `decode` where a mask is a small part of a large picture; an empty one gives (0, H).
    """
    height, runs = rle.size[0], _runs(rle.counts)
    runs = runs[: len(runs) // 2 * 2]  # up to the last pixel of the mask
    if len(runs) == 0:
        return 0, np.zeros((0, height), dtype=bool)
    first, last = int(runs[0]) // height, (int(runs.sum()) - 1) // height
    runs[0] -= first * height
    missing = (last + 1 - first) * height - int(runs.sum())
    values = np.arange(len(runs) + 1) % 2 == 1
    return first, np.repeat(values, np.append(runs, missing)).reshape(-1, height)


def decode_tight(rle: Rle) -> tuple[int, int, np.ndarray]:
    """x and y of the first column and row that the mask touches, and bool (H', W'), the mask from there to the last.

    It lies in memory column after column. An empty mask gives (0, 0) and (0, 0) pixels.
    """
    left, columns = decode_columns(rle)
    rows = np.flatnonzero(columns.any(axis=0))
    if len(rows) == 0:
        return 0, 0, np.zeros((0, 0), dtype=bool)
    return left, int(rows[0]), columns[:, rows[0] : rows[-1] + 1].T


def decode_all(rles: Sequence[Rle], height: int, width: int) -> np.ndarray:
    """bool, (N, H, W); the size is given because N may be 0."""
    masks = np.zeros((len(rles), height, width), dtype=bool)
    for mask, rle in zip(masks, rles, strict=True):
        first, columns = decode_columns(rle)
        mask[:, first : first + len(columns)] = columns.T
    return masks


def check(rle: Rle) -> None:
    """Raises ValueError unless the runs are well formed and fill the mask exactly: pycocotools trusts what it decodes,
    and reads or writes outside its memory otherwise. For masks that come from a file."""
    if strange := _STRANGE.search(rle.counts):
        raise ValueError(f"{strange[0]!r} does not belong in a run-length mask")
    if _TOO_LONG.search(rle.counts):
        raise ValueError(f"a run of more than {_RUN_LETTERS} letters does not belong in a run-length mask")
    height, width = rle.size
    ended = not _UNENDED.search(rle.counts)
    if not ended or (runs := _runs(rle.counts)).min(initial=0) < 0 or runs.sum() != height * width:
        raise ValueError(f"the runs do not make up a mask of {width} x {height} pixels")


def areas(rles: Sequence[Rle]) -> np.ndarray:
    """int64, (N,), pixels."""
    parts = (rles[start : start + _MOST_AREAS] for start in range(0, len(rles), _MOST_AREAS))
    return np.array([area for part in parts for area in coco.area(_coco(part))], dtype=np.int64)


def boxes(rles: Sequence[Rle]) -> np.ndarray:
    """float32, (N, 4): tight x0 y0 x1 y1 in pixels; zeros for an empty mask."""
    return xywh_to_xyxy(np.array([coco.toBbox(one) for one in _coco(rles)], np.float32).reshape(-1, 4))


def ious(a: Sequence[Rle], b: Sequence[Rle]) -> np.ndarray:
    """float64, (len(a), len(b)): intersection over union; 0 where both masks are empty."""
    return _pairwise(a, b, crowd=False)


def coverage(a: Sequence[Rle], b: Sequence[Rle]) -> np.ndarray:
    """float64, (len(a), len(b)): intersection over the area of `a`'s mask; 0 where that mask is empty."""
    return _pairwise(a, b, crowd=True)


def merge(rles: Sequence[Rle], *, intersect: bool = False) -> Rle:
    """The union (or the intersection) of one or more masks of one size."""
    return Rle.from_coco(coco.merge(_coco(rles), intersect=intersect))


def _pairwise(a: Sequence[Rle], b: Sequence[Rle], *, crowd: bool) -> np.ndarray:
    if not a or not b:
        return np.zeros((len(a), len(b)))
    return np.nan_to_num(np.asarray(coco.iou(_coco(a), _coco(b), [int(crowd)] * len(b)), dtype=np.float64))


def _runs(counts: str) -> np.ndarray:
    """int64, (R,): the lengths of the runs, of zeros first."""
    letters = np.frombuffer(counts.encode("ascii"), np.uint8).astype(np.int64) - 48
    last = np.flatnonzero(letters < 32)
    first = np.concatenate([[0], last[:-1] + 1]).astype(np.int64)[: len(last)]
    place = np.arange(len(letters)) - np.repeat(first, last - first + 1)
    runs: np.ndarray = np.add.reduceat((letters & 31) << 5 * place, first) if len(last) else np.zeros(0, np.int64)
    runs -= np.where(letters[last] & 16, 1 << 5 * (last - first + 1), 0)
    # from the fourth run on, a run is stored as its difference from the last but one
    runs[1::2], runs[2::2] = np.cumsum(runs[1::2]), np.cumsum(runs[2::2])
    return runs


def _coco(rles: Sequence[Rle]) -> list[dict[str, Any]]:
    return [rle.to_coco() for rle in rles]
