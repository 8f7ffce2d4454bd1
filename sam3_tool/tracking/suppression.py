"""What becomes of masklets of one phrase that overlap: before they are remembered, and before they are shown."""

from collections.abc import Sequence

import numpy as np

from sam3_tool.masks import rle
from sam3_tool.masks.rle import RleMask
from sam3_tool.tracking.association import compute_mask_ious

NEVER_AWAY = -1
"""In place of the frame on which a masklet was last not visible."""
REMOVED = 100_000
"""The same for one that is being removed, as `ALWAYS_OCCLUDED` in the published code."""
HIDDEN_LOGIT = -10.0
"""Of what is not visible (`NO_OBJ_LOGIT`)."""


def find_recently_away(masks: np.ndarray, last_away: np.ndarray, *, iou: float, reverse: bool = False) -> np.ndarray:
    """Return bool, (N,): which masklets are to be emptied on this frame, because another one has their place.

    Of two masks that overlap by at least `iou`, the one that was away more recently gives way, if the other has ever
    been away: `_get_objects_to_suppress_based_on_most_recently_occluded` in the published `Sam3VideoBase`.

    Args:
        masks: bool, (N, h, w).
        last_away: int, (N,): the last frame on which each was not visible, or `NEVER_AWAY`.
        iou: From this IoU on.
        reverse: Whether the video is followed backwards.
    """
    overlaps = compute_mask_ious(masks, masks) >= np.float32(iou)
    np.fill_diagonal(overlaps, False)
    mine, other = last_away[:, None], last_away[None]
    later = mine < other if reverse else mine > other
    return np.asarray((overlaps & later & (other > NEVER_AWAY)).any(axis=1))


def resolve_overlaps(rles: Sequence[RleMask], scores: Sequence[float]) -> list[RleMask]:
    """Return masks that share no pixel: each goes to the best score, at a tie to the earlier mask.

    `_apply_object_wise_non_overlapping_constraints` in the published `sam3_tracking_predictor.py`. A mask that
    overlaps no other is returned as it is.
    """
    resolved = list(rles)
    touching = rle.compute_coverage(rles, rles) > 0
    order = sorted(range(len(rles)), key=lambda index: -scores[index])
    for place, index in enumerate(order):
        better = [resolved[other] for other in order[:place] if touching[index, other]]
        if better:
            taken = rle.decode_mask(rle.merge_masks(better))
            resolved[index] = rle.encode_mask(rle.decode_mask(resolved[index]) & ~taken)
    return resolved
