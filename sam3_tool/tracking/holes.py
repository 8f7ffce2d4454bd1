"""Holes and specks of low-resolution masks, which the published tracker fills and removes."""

import numpy as np

FILLED_LOGIT, REMOVED_LOGIT = 0.1, -0.1
PUBLISHED_AREA = 288 * 288
"""Cells of a low-resolution mask of the published model. Coarser masks have proportionally smaller holes."""


def clean_logits(logits: np.ndarray, *, most_area: int) -> np.ndarray:
    """Return logits without small holes and specks: `fill_holes_in_mask_scores` in `sam3_tracker_utils.py`.

    A hole is a connected region not above 0 (corners connect) of at most `most_area` cells. A speck is such a region
    above 0 that is, besides, at most half of the mask, so that tiny objects stay.

    Args:
        logits: float32, (N, h, w).
        most_area: In cells of the published 288 x 288.
    """
    cells = min(most_area, most_area * logits.shape[1] * logits.shape[2] // PUBLISHED_AREA)
    if cells == 0 or not len(logits):
        return logits
    return np.stack([_clean_mask(mask, cells) for mask in logits])


def _clean_mask(logits: np.ndarray, most_area: int) -> np.ndarray:
    """Clean the part around what is inside: whatever reaches further out is no hole, for it is larger."""
    inside = logits > 0
    window = tuple(_find_window(np.asarray(inside.any(axis=axis)), most_area + 1) for axis in (1, 0))
    cleaned = logits.copy()
    cleaned[window] = _clean_part(logits[window], most_area)
    return cleaned


def _find_window(occupied: np.ndarray, margin: int) -> slice:
    places = np.flatnonzero(occupied)
    return slice(max(0, places[0] - margin), places[-1] + margin + 1) if len(places) else slice(0, 0)


def _clean_part(logits: np.ndarray, most_area: int) -> np.ndarray:
    if not logits.size:
        return logits
    filled = np.where(_find_small_regions(logits <= 0, most_area), np.float32(FILLED_LOGIT), logits)
    inside = filled > 0
    specks = _find_small_regions(inside, min(most_area, int(np.count_nonzero(inside)) // 2))
    return np.where(specks, np.float32(REMOVED_LOGIT), filled)


def _find_small_regions(region: np.ndarray, most_area: int) -> np.ndarray:
    """Return which cells, bool (h, w), lie in a connected part of the region of at most this area."""
    import cv2  # which would slow down every start of the program

    _, labels, statistics, _ = cv2.connectedComponentsWithStats(region.astype(np.uint8), connectivity=8)
    is_small = statistics[:, cv2.CC_STAT_AREA] <= most_area
    is_small[0] = False  # what is not of the region
    return np.asarray(is_small[labels])
