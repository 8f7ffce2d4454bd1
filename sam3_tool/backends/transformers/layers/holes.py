"""Small holes of masks filled before they are enlarged, as the published predictor for clicks does it."""

import cv2
import numpy as np
import torch

FILLED_LOGIT = 10.0
"""Logit of a filled cell (`SAM2Transforms.postprocess_masks` in `sam3/model/utils/sam1_utils.py`)."""
MAX_HOLE_AREA, PUBLISHED_AREA = 256, 288 * 288
"""Cells of the largest hole that is filled, and of a whole mask, in the published network; others have other sizes."""


def fill_small_holes(logits: torch.Tensor) -> torch.Tensor:
    """Return logits whose small holes are above 0. `logits`: (N, h, w), on any device.

    A hole is a connected region that is not above 0 (corners connect), also where it touches the edge. Specks outside
    are kept: the published predictor removes none.
    """
    holes = np.stack([_find_small_holes(outside) for outside in (logits <= 0).cpu().numpy()])
    filled = torch.as_tensor(FILLED_LOGIT, dtype=logits.dtype, device=logits.device)
    return torch.where(torch.from_numpy(holes).to(logits.device), filled, logits)


def _find_small_holes(outside: np.ndarray) -> np.ndarray:
    """Return which cells lie in a small region of those that are outside, both bool (h, w)."""
    _, labels, statistics, _ = cv2.connectedComponentsWithStats(outside.astype(np.uint8), connectivity=8)
    areas = statistics[:, cv2.CC_STAT_AREA].astype(np.int64)  # the products have more than 32 bits
    is_small = areas * PUBLISHED_AREA <= MAX_HOLE_AREA * outside.size
    is_small[0] = False  # what is inside
    return np.asarray(is_small[labels])
