"""COCO run-length masks: the only module that knows pycocotools."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pycocotools import mask as coco

_RUN_BITS = 30
"""Of one run, which any picture's fit into; pycocotools shifts 32-bit numbers and reads longer ones as others."""


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
    return encode_all(mask[None])[0]


def encode_all(masks: np.ndarray) -> list[Rle]:
    """`masks`: bool, (N, H, W)."""
    if len(masks) == 0:
        return []
    packed = coco.encode(np.asfortranarray(masks.transpose(1, 2, 0), dtype=np.uint8))
    return [Rle.from_coco(one) for one in packed]


def decode(rle: Rle) -> np.ndarray:
    """bool, (H, W)."""
    return np.asarray(coco.decode(rle.to_coco()), dtype=bool)


def decode_all(rles: Sequence[Rle], height: int, width: int) -> np.ndarray:
    """bool, (N, H, W); the size is given because N may be 0."""
    if not rles:
        return np.zeros((0, height, width), dtype=bool)
    return np.ascontiguousarray(coco.decode(_coco(rles)).transpose(2, 0, 1)).view(bool)


def check(rle: Rle) -> None:
    """Raises ValueError unless the runs are well formed and fill the mask exactly: pycocotools trusts what it decodes,
    and reads or writes outside its memory otherwise. For masks that come from a file."""
    runs: list[int] = []
    value = shift = 0
    for letter in rle.counts:
        bits = ord(letter) - 48
        if not 0 <= bits < 64:
            raise ValueError(f"{letter!r} does not belong in a run-length mask")
        value |= (bits & 31) << shift
        shift += 5
        if shift > _RUN_BITS:
            raise ValueError(f"a run of more than {_RUN_BITS // 5} letters does not belong in a run-length mask")
        if bits & 32:
            continue
        value -= (1 << shift) if bits & 16 else 0
        # from the fourth run on, a run is stored as its difference from the last but one
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
        value = shift = 0
    height, width = rle.size
    if shift or min(runs, default=0) < 0 or sum(runs) != height * width:
        raise ValueError(f"the runs do not make up a mask of {width} x {height} pixels")


def areas(rles: Sequence[Rle]) -> np.ndarray:
    """int64, (N,), pixels."""
    return np.asarray(coco.area(_coco(rles)) if rles else [], dtype=np.int64)


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


def _coco(rles: Sequence[Rle]) -> list[dict[str, Any]]:
    return [rle.to_coco() for rle in rles]
