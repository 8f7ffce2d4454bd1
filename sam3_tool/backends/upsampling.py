"""From mask logits to masks in the picture's size: upsampled first, cut at 0 after that, as published.

Bilinear interpolation mixes four neighbours, so that only pixels between cells of which one is above 0 can be. On a CPU
nothing else is computed; most masks fill a small part of their picture.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch.nn import functional

_AT_ONCE_BYTES = 64 * 2**20
"""Float logits, at the size of the picture, that exist at one time."""


def cut(logits: torch.Tensor, height: int, width: int) -> np.ndarray:
    """bool, (N, height, width): where the logits, (N, h, w), are above 0 once upsampled (corners not aligned)."""
    if logits.device.type != "cpu":
        return _cut_whole(logits.float(), height, width)
    masks = np.zeros((len(logits), height, width), dtype=bool)
    down, across = _Axis.between(logits.shape[1], height), _Axis.between(logits.shape[2], width)
    for mask, one in zip(masks, logits.float(), strict=True):
        above = (one > 0).numpy()
        rows, columns = down.touched(above.any(axis=1)), across.touched(above.any(axis=0))
        if rows.stop > rows.start:
            mask[rows, columns] = _upsampled(one, down.part(rows), across.part(columns)).gt(0).numpy()
    return masks


def _cut_whole(logits: torch.Tensor, height: int, width: int) -> np.ndarray:
    at_once = max(1, _AT_ONCE_BYTES // (4 * height * width))
    upsampled = (
        functional.interpolate(some[None], size=(height, width), mode="bilinear", align_corners=False)[0]
        for some in torch.split(logits, at_once)
    )
    return np.asarray(torch.cat([some > 0 for some in upsampled]).cpu())


class _Axis(NamedTuple):
    """One side of the picture: between which two cells each of its pixels lies, and how near to each of them."""

    before: torch.Tensor
    """int64, (pixels,), ascending."""
    after: torch.Tensor
    share_before: torch.Tensor
    """float32, (pixels,), in [0, 1]."""
    share_after: torch.Tensor

    @classmethod
    def between(cls, cells: int, pixels: int) -> "_Axis":
        """In the arithmetic of PyTorch's `upsample_bilinear2d`, to the last digit."""
        scale = torch.tensor(cells, dtype=torch.float32) / pixels
        place = (scale * (torch.arange(pixels, dtype=torch.float32) + 0.5) - 0.5).clamp(min=0)
        before = place.long().clamp(max=cells - 1)
        after = (before + 1).clamp(max=cells - 1)
        share = (place - before).clamp(0, 1)
        return cls(before, after, 1 - share, share)

    def touched(self, cells: np.ndarray) -> slice:
        """The pixels between the first and the last of these cells. `cells`: bool, (cells,)."""
        there = np.flatnonzero(cells)
        if len(there) == 0:
            return slice(0, 0)
        first, last = np.searchsorted(self.before.numpy(), (there[0] - 1, there[-1] + 1))
        return slice(int(first), int(last))

    def part(self, pixels: slice) -> "_Axis":
        return _Axis(*(one[pixels] for one in self))


def _upsampled(logits: torch.Tensor, down: _Axis, across: _Axis) -> torch.Tensor:
    """float32, (rows, columns) of these pixels, out of (h, w)."""
    top, bottom = int(down.before[0]), int(down.after[-1])
    near = logits[top : bottom + 1]
    lines = near[:, across.before] * across.share_before + near[:, across.after] * across.share_after
    return lines[down.before - top] * down.share_before[:, None] + lines[down.after - top] * down.share_after[:, None]
