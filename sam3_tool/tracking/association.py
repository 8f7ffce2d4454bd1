"""Which detection of a frame belongs to which masklet, and which begins one.

As `_associate_det_trk` of the published `Sam3VideoBase` has it. All masks are of one phrase.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sam3_tool.tracking.rules import TrackingRules


@dataclass(frozen=True, eq=False)
class Association:
    """What the detections of a frame say about the masklets."""

    births: np.ndarray
    """int64, (n,): the detections that begin a masklet, in the order of detections."""
    unmatched: tuple[int, ...]
    """Ids of masklets that have a mask which no detection confirms."""
    matches: tuple[tuple[int, ...], ...]
    """Per detection, the ids of the masklets that it belongs to."""
    confirmations: dict[int, int]
    """Id of a masklet -> the sure detection that may prompt it anew."""


def compute_mask_ious(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return float32, (N, M): the IoU of each mask of `a` with each of `b`; bool, (N, h, w) and (M, h, w).

    Two empty masks have 0. Sums of up to 2**24 pixels are exact in the product's float32.
    """
    first, second = (masks.reshape(len(masks), masks.shape[1] * masks.shape[2]).astype(np.float32) for masks in (a, b))
    shared = first @ second.T
    either = first.sum(axis=1)[:, None] + second.sum(axis=1)[None] - shared
    return np.asarray(shared / np.maximum(either, 1))


def select_distinct(masks: np.ndarray, scores: np.ndarray, *, iou: float) -> np.ndarray:
    """Return int64, (n,), ascending: the detections that no better one overlaps by more than `iou`.

    Non-maximum suppression on masks, bool (N, h, w), as `generic_nms_cpu` in the published `sam3/perflib/nms.py`; at a
    tie the earlier detection wins.
    """
    ious = compute_mask_ious(masks, masks)
    kept: list[int] = []
    for index in np.argsort(-scores, kind="stable").tolist():
        if not (ious[index, kept] > np.float32(iou)).any():
            kept.append(index)
    return np.array(sorted(kept), dtype=np.int64)


def associate_detections(
    detections: np.ndarray, scores: np.ndarray, masklets: np.ndarray, ids: Sequence[int], rules: TrackingRules
) -> Association:
    """Compare the detections of a frame with the masklets' masks on it.

    A detection may belong to several masklets, and several to one; nothing is assigned one to one.

    Args:
        detections: bool, (N, h, w).
        scores: float32, (N,), in [0, 1].
        masklets: bool, (M, h, w); all False where the object is not seen.
        ids: Of the masklets.
        rules: The thresholds.

    Returns:
        What begins, what is unmatched, what belongs together.
    """
    visible = np.asarray(masklets.any(axis=(1, 2)))
    if not len(ids):  # as published: every detection begins a masklet, whatever its score
        return Association(np.arange(len(detections)), (), ((),) * len(detections), {})
    if not len(detections):
        return Association(np.arange(0), _select_ids(ids, visible), (), {})
    ious = compute_mask_ious(detections, masklets)
    belongs = ious >= np.float32(rules.match_iou)
    begins = (scores >= np.float32(rules.birth_score)) & ~belongs.any(axis=1)
    confirmed = np.asarray((ious >= np.float32(rules.confirm_iou)).any(axis=0))
    is_sure = (scores >= np.float32(rules.reprompt_score)) & ~begins
    is_sure &= ious.max(axis=1) >= np.float32(rules.reprompt_iou)
    nearest = ious.argmax(axis=1)
    return Association(
        births=np.flatnonzero(begins),
        unmatched=_select_ids(ids, visible & ~confirmed),
        matches=tuple(_select_ids(ids, row) for row in belongs),
        confirmations={ids[nearest[index]]: int(index) for index in np.flatnonzero(is_sure)},
    )


def _select_ids(ids: Sequence[int], chosen: np.ndarray) -> tuple[int, ...]:
    return tuple(ids[index] for index in np.flatnonzero(chosen))
