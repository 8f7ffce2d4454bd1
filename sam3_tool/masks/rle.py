"""COCO run-length masks: the only module that knows pycocotools."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pycocotools import mask as coco

from sam3_tool.masks.boxes import mask_to_box, xywh_to_xyxy
from sam3_tool.masks.checks import check_counts, check_polygon, check_size, shorten_value

_MAX_AREAS_PER_CALL = 255
"""Masks that pycocotools measures in one call: it counts them in a byte."""
_MAX_RUN_LETTERS = 6
"""Letters of one run, which is enough for any image; pycocotools shifts 32-bit numbers and misreads longer runs."""
_INVALID_LETTER, _OVERLONG_RUN, _UNFINISHED_RUN = (
    re.compile("[^0-o]"),
    re.compile(f"[P-o]{{{_MAX_RUN_LETTERS}}}"),
    re.compile(r"[P-o]\Z"),
)
"""A letter has six bits, from "0"; the highest, from "P", says that its run goes on."""

DENSE_RATIO = 64
"""A mask with more run ends than one in so many pixels is encoded pixel by pixel: there are too many to sort."""


@dataclass(frozen=True)
class RleMask:
    """One mask, compressed as COCO does: runs down the columns, lengths delta-coded into ASCII.

    >>> decode_mask(RleMask((2, 3), "06")).all()
    np.True_
    """

    size: tuple[int, int]
    """(height, width) in pixels."""
    counts: str
    """The runs, of zeros first, as pycocotools writes them."""

    def to_coco(self) -> dict[str, Any]:
        """Convert to what pycocotools and COCO files read.

        Returns:
            `{"size": [height, width], "counts": str}`.

        >>> encode_mask(np.ones((2, 3), bool)).to_coco()
        {'size': [2, 3], 'counts': '06'}
        """
        return {"size": list(self.size), "counts": self.counts}

    @classmethod
    def from_coco(cls, segmentation: dict[str, Any]) -> "RleMask":
        """Convert from what pycocotools gives and COCO files hold.

        Args:
            segmentation: `{"size": [height, width], "counts": str or bytes}`. `check_runs` checks what is in a file.

        Returns:
            The same mask.

        >>> RleMask.from_coco({"size": [2, 3], "counts": b"06"}).counts
        '06'
        """
        height, width = segmentation["size"]
        counts = segmentation["counts"]
        return cls((int(height), int(width)), counts.decode() if isinstance(counts, bytes) else counts)


def encode_mask(mask: np.ndarray) -> RleMask:
    """Compress a mask, bool (H, W)."""
    return encode_mask_at(mask, 0, 0, *mask.shape)


def encode_mask_at(mask: np.ndarray, left: int, top: int, height: int, width: int) -> RleMask:
    """Compress a mask of this height and width that has pixels only within `mask`, bool (H', W').

    That part begins at column `left` and row `top`.
    """
    x0, y0, x1, y1 = mask_to_box(mask)
    crop = mask[y0:y1, x0:x1]
    # a run begins or ends where a column's value changes, and at the crop's first and last row
    changes = np.concatenate([crop[:1], crop[1:] != crop[:-1], crop[-1:]])
    if np.count_nonzero(changes) * DENSE_RATIO > mask.size:
        whole = np.zeros((height, width), np.uint8, order="F")
        whole[top : top + mask.shape[0], left : left + mask.shape[1]] = mask
        return RleMask.from_coco(coco.encode(whole))
    y, x = np.divmod(np.flatnonzero(changes), max(1, x1 - x0))
    ends = np.sort((x + x0 + left) * height + y + y0 + top)
    return from_run_ends(_remove_pairs(ends), height, width)


def encode_masks(masks: np.ndarray) -> list[RleMask]:
    """Compress masks, bool (N, H, W)."""
    return [encode_mask(mask) for mask in masks]


def _remove_pairs(ends: np.ndarray) -> np.ndarray:
    """Join runs, given by their ascending ends: one that ends where the next begins goes on there, a column further."""
    first = np.flatnonzero(ends[1:] == ends[:-1])
    return np.delete(ends, np.concatenate([first, first + 1]))


def from_run_ends(ends: np.ndarray, height: int, width: int) -> RleMask:
    """Compress a mask of which the places are known where a run ends and another begins.

    `ends`: int, (R,), ascending, counted down the columns. The first run is of zeros; it ends at 0 if the mask has its
    first pixel.
    """
    lengths = np.diff(ends, prepend=0, append=height * width).tolist()
    # COCO's own encoder writes no empty last run, and equal masks should have equal letters
    lengths = lengths if lengths[-1] else lengths[:-1]
    return RleMask.from_coco(coco.frPyObjects({"size": [height, width], "counts": lengths}, height, width))


def from_polygons(polygons: Sequence[Sequence[float]], height: int, width: int) -> list[RleMask]:
    """Draw one mask per polygon, each x0, y0, x1, y1, … in pixels, with COCO's rasteriser.

    Raises ValueError for what is no polygon, or has no place in a mask of any image.
    """
    height, width = check_size(height, width)
    checked = [check_polygon(polygon) for polygon in polygons]
    # one by one: of a list, pycocotools takes a first polygon of four numbers for a box
    return [RleMask.from_coco(coco.frPyObjects([polygon], height, width)[0]) for polygon in checked]


def from_runs(counts: Sequence[int], height: int, width: int) -> RleMask:
    """Compress a mask that a file holds as a list of run lengths, of zeros first, down the columns.

    Raises ValueError unless they fill the mask exactly.

    >>> decode_mask(from_runs([2, 4], 2, 3)).astype(int).tolist()
    [[0, 1, 1], [0, 1, 1]]
    """
    height, width = check_size(height, width)
    runs = check_counts(counts, height, width)
    values = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    return encode_mask(values.reshape(width, height).T)


def to_runs(rle: RleMask) -> list[int]:
    """Return the lengths of the runs, of zeros first, down the columns: what some files hold instead of letters.

    >>> to_runs(from_runs([2, 4], 2, 3))
    [2, 4]
    """
    lengths: list[int] = _decode_runs(rle.counts).tolist()
    return lengths


def decode_mask(rle: RleMask) -> np.ndarray:
    """Return bool, (H, W)."""
    return np.asarray(coco.decode(rle.to_coco())).view(bool)


def decode_columns(rle: RleMask) -> tuple[int, np.ndarray]:
    """Return the first column that the mask touches, and bool (W', H), one row for each column from there to the last.

    This is many times faster than `decode_mask` where a mask is a small part of a large image. An empty mask gives
    (0, H) pixels.
    """
    height, runs = rle.size[0], _decode_runs(rle.counts)
    runs = runs[: len(runs) // 2 * 2]  # up to the last pixel of the mask
    if len(runs) == 0:
        return 0, np.zeros((0, height), dtype=bool)
    first, last = int(runs[0]) // height, (int(runs.sum()) - 1) // height
    runs[0] -= first * height
    missing = (last + 1 - first) * height - int(runs.sum())
    values = np.arange(len(runs) + 1) % 2 == 1
    return first, np.repeat(values, np.append(runs, missing)).reshape(-1, height)


def decode_tight(rle: RleMask) -> tuple[int, int, np.ndarray]:
    """Return x and y of the first column and row that the mask touches, and bool (H', W'), the mask from there on.

    It lies in memory column after column. An empty mask gives (0, 0) and (0, 0) pixels.
    """
    left, columns = decode_columns(rle)
    rows = np.flatnonzero(columns.any(axis=0))
    if len(rows) == 0:
        return 0, 0, np.zeros((0, 0), dtype=bool)
    return left, int(rows[0]), columns[:, rows[0] : rows[-1] + 1].T


def decode_masks(rles: Sequence[RleMask], height: int, width: int) -> np.ndarray:
    """Return bool, (N, H, W). The size is given because N may be 0."""
    masks = np.zeros((len(rles), height, width), dtype=bool)
    for mask, rle in zip(masks, rles, strict=True):
        first, columns = decode_columns(rle)
        mask[:, first : first + len(columns)] = columns.T
    return masks


def check_runs(rle: RleMask) -> None:
    """Raise ValueError unless the runs are well formed and fill the mask exactly. For masks that come from a file.

    pycocotools trusts what it decodes: it would read or write outside its memory.
    """
    check_size(*rle.size)
    if not isinstance(rle.counts, str):
        raise ValueError(f"compressed runs are a text, found {shorten_value(rle.counts)}")
    if invalid := _INVALID_LETTER.search(rle.counts):
        raise ValueError(f"{invalid[0]!r} does not belong in a run-length mask")
    if _OVERLONG_RUN.search(rle.counts):
        raise ValueError(f"a run of more than {_MAX_RUN_LETTERS} letters does not belong in a run-length mask")
    height, width = rle.size
    ended = not _UNFINISHED_RUN.search(rle.counts)
    if not ended or (runs := _decode_runs(rle.counts)).min(initial=0) < 0 or runs.sum() != height * width:
        raise ValueError(f"the runs do not make up a mask of {width} x {height} pixels")


def compute_areas(rles: Sequence[RleMask]) -> np.ndarray:
    """Return int64, (N,): pixels of each mask."""
    parts = (rles[start : start + _MAX_AREAS_PER_CALL] for start in range(0, len(rles), _MAX_AREAS_PER_CALL))
    return np.array([area for part in parts for area in coco.area(_to_coco_list(part))], dtype=np.int64)


def compute_boxes(rles: Sequence[RleMask]) -> np.ndarray:
    """Return float32, (N, 4): tight x0 y0 x1 y1 in pixels; zeros for an empty mask."""
    return xywh_to_xyxy(
        np.array([coco.toBbox(segmentation) for segmentation in _to_coco_list(rles)], np.float32).reshape(-1, 4)
    )


def compute_ious(a: Sequence[RleMask], b: Sequence[RleMask]) -> np.ndarray:
    """Return float64, (len(a), len(b)): intersection over union; 0 where both masks are empty."""
    return _compute_pairwise(a, b, crowd=False)


def compute_coverage(a: Sequence[RleMask], b: Sequence[RleMask]) -> np.ndarray:
    """Return float64, (len(a), len(b)): intersection over the area of `a`'s mask; 0 where that mask is empty."""
    return _compute_pairwise(a, b, crowd=True)


def merge_masks(rles: Sequence[RleMask], *, intersect: bool = False) -> RleMask:
    """Return the union (or the intersection) of one or more masks of one size."""
    return RleMask.from_coco(coco.merge(_to_coco_list(rles), intersect=intersect))


def _compute_pairwise(a: Sequence[RleMask], b: Sequence[RleMask], *, crowd: bool) -> np.ndarray:
    if not a or not b:
        return np.zeros((len(a), len(b)))
    return np.nan_to_num(
        np.asarray(coco.iou(_to_coco_list(a), _to_coco_list(b), [int(crowd)] * len(b)), dtype=np.float64)
    )


def _decode_runs(counts: str) -> np.ndarray:
    """Return int64, (R,): the lengths of the runs, of zeros first."""
    # a letter holds five bits of a run, lowest first; the sixth says that the run goes on (rleToString in maskApi.c)
    letters = np.frombuffer(counts.encode("ascii"), np.uint8).astype(np.int64) - 48
    last = np.flatnonzero(letters < 32)
    first = np.concatenate([[0], last[:-1] + 1]).astype(np.int64)[: len(last)]
    place = np.arange(len(letters)) - np.repeat(first, last - first + 1)
    runs: np.ndarray = np.add.reduceat((letters & 31) << 5 * place, first) if len(last) else np.zeros(0, np.int64)
    # the highest of the five bits in a run's last letter is its sign
    runs -= np.where(letters[last] & 16, 1 << 5 * (last - first + 1), 0)
    # from the fourth run on, a run is stored as its difference from the last but one
    runs[1::2], runs[2::2] = np.cumsum(runs[1::2]), np.cumsum(runs[2::2])
    return runs


def _to_coco_list(rles: Sequence[RleMask]) -> list[dict[str, Any]]:
    return [rle.to_coco() for rle in rles]
