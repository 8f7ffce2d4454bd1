"""Stability of masks: whether one stays nearly the same where its logits are cut a little higher or lower.

Source: https://github.com/facebookresearch/segment-anything, `calculate_stability_score`.
"""

import numpy as np
import torch

from sam3_tool.backends.transformers.layers.upsampling import threshold_to_rles
from sam3_tool.masks import rle

_MAX_PIXELS = 64 * 2**20
"""Of masks that are enlarged at one time."""


def keep_stable_masks(
    logits: torch.Tensor, height: int, width: int, *, offset: float, least: float
) -> tuple[np.ndarray, list[rle.RleMask]]:
    """Enlarge masks to the image, and keep the stable ones.

    Args:
        logits: (N, h, w), on any device.
        height: Height of the image in pixels.
        width: Width of the image in pixels.
        offset: Stability is the area at logits above `offset`, divided by that at logits above `-offset`.
        least: What stability must be at least.

    Returns:
        bool, (N,): which are kept; and the masks of those, cut at 0. A mask without a pixel is never stable.
    """
    at_once = max(1, _MAX_PIXELS // (height * width))
    kept, masks = [np.zeros(0, bool)], []
    for first in range(0, len(logits), at_once):
        part = logits[first : first + at_once]
        # to shift all logits is to shift the cut, for enlarging takes means of them
        inner, outer = (rle.compute_areas(threshold_to_rles(part - cut, height, width)) for cut in (offset, -offset))
        stable = (outer > 0) & (inner >= least * outer)
        kept.append(stable)
        masks += threshold_to_rles(part[torch.from_numpy(stable).to(part.device)], height, width)
    return np.concatenate(kept), masks
