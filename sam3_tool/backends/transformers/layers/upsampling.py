"""Mask logits become masks in the image's size: upsampled first, cut at 0 after that, as published.

Bilinear interpolation mixes four neighbours, so that only pixels between cells of which one is above 0 can be. On a CPU
nothing else is computed; most masks fill a small part of their image. On a GPU all of it is, and becomes runs there.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch.nn import functional

from sam3_tool.backends.transformers.layers import mask_runs as runs
from sam3_tool.instances import Instances
from sam3_tool.masks import rle
from sam3_tool.masks.boxes import masks_to_boxes

_MAX_LOGIT_BYTES = 256 * 2**20
"""Float logits, at the size of the image, that exist at one time on a GPU: of 32 masks at 1920 x 1080."""


def build_instances(
    logits: torch.Tensor,
    height: int,
    width: int,
    *,
    scores: np.ndarray,
    presence: float,
    boxes: np.ndarray | None = None,
    phrase: str = "",
) -> Instances:
    """Make instances of mask logits, (N, h, w), on any device. `boxes`: the extents of the masks if left out."""
    if logits.device.type == "cpu":
        masks = threshold_upsampled(logits, height, width)
        return Instances(masks, masks_to_boxes(masks) if boxes is None else boxes, scores, presence, phrase)
    rles = threshold_to_runs(logits, height, width)
    boxes = rle.compute_boxes(rles) if boxes is None else boxes
    return Instances.from_rles(rles, (height, width), boxes=boxes, scores=scores, presence=presence, phrase=phrase)


def threshold_to_rles(logits: torch.Tensor, height: int, width: int) -> list[rle.RleMask]:
    """Return the masks of logits, (N, h, w), on any device, as runs."""
    if logits.device.type == "cpu":
        return rle.encode_masks(threshold_upsampled(logits, height, width))
    return threshold_to_runs(logits, height, width)


def threshold_upsampled(logits: torch.Tensor, height: int, width: int) -> np.ndarray:
    """Return bool, (N, height, width): where logits exceed 0 once upsampled, corners not aligned.

    `logits`: (N, h, w), on the CPU.
    """
    masks = np.zeros((len(logits), height, width), dtype=bool)
    down, across = _Axis.from_sizes(logits.shape[1], height), _Axis.from_sizes(logits.shape[2], width)
    for mask, mask_logits in zip(masks, logits.float(), strict=True):
        above = (mask_logits > 0).numpy()
        rows, columns = down.find_touched_pixels(above.any(axis=1)), across.find_touched_pixels(above.any(axis=0))
        if rows.stop > rows.start:
            mask[rows, columns] = (
                _upsample_part(mask_logits, down.select_part(rows), across.select_part(columns)).gt(0).numpy()
            )
    return masks


def threshold_to_runs(logits: torch.Tensor, height: int, width: int) -> list[rle.RleMask]:
    """Return what `threshold_upsampled` gives as runs, for logits on any device; nothing else leaves it."""
    return [
        mask_runs for masks in _threshold_whole(logits, height, width) for mask_runs in runs.encode_on_device(masks)
    ]


def _threshold_whole(logits: torch.Tensor, height: int, width: int) -> Iterator[torch.Tensor]:
    """Yield bool, (some, height, width): as many masks as there is room for at one time."""
    size, at_once = (height, width), max(1, _MAX_LOGIT_BYTES // (4 * height * width))
    for first in range(0, len(logits), at_once):
        batch = logits[None, first : first + at_once].float()
        yield functional.interpolate(batch, size=size, mode="bilinear", align_corners=False)[0] > 0


class _Axis(NamedTuple):
    """One side of the image: between which two cells each of its pixels lies, and how near to each of them."""

    before: torch.Tensor
    """int64, (pixels,), ascending."""
    after: torch.Tensor
    share_before: torch.Tensor
    """float32, (pixels,), in [0, 1]."""
    share_after: torch.Tensor

    @classmethod
    def from_sizes(cls, cells: int, pixels: int) -> "_Axis":
        """Compute an axis in the arithmetic of `upsample_bilinear2d`.

        Rounding takes less than one pixel of a billion over 0.
        """
        scale = torch.tensor(cells, dtype=torch.float32) / pixels
        place = (scale * (torch.arange(pixels, dtype=torch.float32) + 0.5) - 0.5).clamp(min=0)
        before = place.long().clamp(max=cells - 1)
        after = (before + 1).clamp(max=cells - 1)
        share = (place - before).clamp(0, 1)
        return cls(before, after, 1 - share, share)

    def find_touched_pixels(self, cells: np.ndarray) -> slice:
        """Return the pixels between the first and the last of these cells. `cells`: bool, (cells,)."""
        occupied = np.flatnonzero(cells)
        if len(occupied) == 0:
            return slice(0, 0)
        first, last = np.searchsorted(self.before.numpy(), (occupied[0] - 1, occupied[-1] + 1))
        return slice(int(first), int(last))

    def select_part(self, pixels: slice) -> "_Axis":
        return _Axis(*(column[pixels] for column in self))


def _upsample_part(logits: torch.Tensor, down: _Axis, across: _Axis) -> torch.Tensor:
    """Return float32, (rows, columns), of these pixels, out of (h, w)."""
    top, bottom = int(down.before[0]), int(down.after[-1])
    near = logits[top : bottom + 1]
    lines = near[:, across.before] * across.share_before + near[:, across.after] * across.share_after
    return lines[down.before - top] * down.share_before[:, None] + lines[down.after - top] * down.share_after[:, None]
