"""Masks become runs on the device that made them, so that no pixel of them has to leave it."""

import numpy as np
import torch

from sam3_tool.masks.rle import RleMask, from_run_ends


def encode_on_device(masks: torch.Tensor) -> list[RleMask]:
    """Compress masks, bool (N, H, W), on any device, exactly as `sam3_tool.masks.rle.encode_masks` does."""
    count, height, width = masks.shape
    columns = masks.transpose(1, 2).reshape(count, height * width)
    ends = columns.clone()
    # a run ends where a pixel differs from the one before it, counted down the columns
    ends[:, 1:] ^= columns[:, :-1]
    counts = ends.sum(dim=1)
    places = ends.nonzero()[:, 1]
    split = np.split(places.cpu().numpy(), np.cumsum(counts.cpu().numpy())[:-1]) if count else []
    return [from_run_ends(mask_ends, height, width) for mask_ends in split]
