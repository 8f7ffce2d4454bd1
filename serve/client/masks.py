"""Masks as arrays."""

from collections.abc import Sequence

import numpy as np

from agent.report.result import Mask
from sam3_tool.masks.rle import RleMask, decode_masks


def decode_answer(masks: Sequence[Mask]) -> np.ndarray:
    """Decode the masks of an answer.

    Args:
        masks: Of one image.

    Returns:
        Masks, bool, (N, H, W); (0, 0, 0) without any.

    Example:
        >>> from agent.report.result import Segmentation
        >>> area = Segmentation(size=(2, 3), counts="06")
        >>> mask = Mask(id=1, phrase="cup", score=0.9, bbox=(0, 0, 3, 2), area=6, segmentation=area)
        >>> decode_answer([mask]).tolist()
        [[[True, True, True], [True, True, True]]]
    """
    if not masks:
        return np.zeros((0, 0, 0), bool)
    height, width = masks[0].segmentation.size
    rles = [RleMask(mask.segmentation.size, mask.segmentation.counts) for mask in masks]
    return decode_masks(rles, height, width)
