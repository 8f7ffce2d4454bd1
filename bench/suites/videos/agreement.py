"""How far two ways to follow phrases agree: which objects are the same, and how well their masks match."""

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment

SAME_IOU = 0.5
"""From this IoU over the whole video on, two ways found the same object."""


class ShownFrame(NamedTuple):
    """What a way shows on a frame; a value for each phrase."""

    frame: int
    ids: Sequence[Sequence[int]]
    masks: Sequence[np.ndarray]
    """bool, (N, height, width) each, in the order of its ids."""


class Agreement(NamedTuple):
    """Objects of one way, of another way, and those that are the same in both."""

    ours: int
    theirs: int
    same: int
    mean_iou: float
    """Of the same objects, over the whole video; NaN if there are none."""


def stack_objects(shown: Iterable[ShownFrame], row: int, size: tuple[int, int, int]) -> np.ndarray:
    """Collect the objects of one phrase.

    Args:
        shown: Frames in any order.
        row: The number of the phrase.
        size: Frames, height and width of the video.

    Returns:
        bool, (N, frames, height, width): the objects in the order in which they are first shown.

    >>> mask = np.ones((1, 2, 3), bool)
    >>> stack_objects([ShownFrame(1, [[7]], [mask])], 0, (4, 2, 3)).sum(axis=(0, 2, 3)).tolist()
    [0, 6, 0, 0]
    """
    objects: dict[int, np.ndarray] = {}
    for frame in shown:
        for track_id, mask in zip(frame.ids[row], frame.masks[row], strict=True):
            objects.setdefault(track_id, np.zeros(size, bool))[frame.frame] = mask
    return np.array(list(objects.values()), bool).reshape(-1, *size)


def compare_objects(ours: Sequence[np.ndarray], theirs: Sequence[np.ndarray]) -> Agreement:
    """Compare what two ways found, phrase by phrase.

    Args:
        ours: For each phrase bool, (N, frames, height, width).
        theirs: The same phrases of the other way.

    Returns:
        Counts over all phrases. No object is the same as two others.

    >>> one = np.zeros((2, 1, 4, 4), bool)
    >>> one[0, :, :2], one[1, :, 2:] = True, True
    >>> compare_objects([one], [one[:1]])
    Agreement(ours=2, theirs=1, same=1, mean_iou=1.0)
    """
    ious = [iou for pair in zip(ours, theirs, strict=True) for iou in _match_objects(*pair)]
    mean = sum(ious) / len(ious) if ious else math.nan
    return Agreement(sum(map(len, ours)), sum(map(len, theirs)), len(ious), mean)


def _match_objects(ours: np.ndarray, theirs: np.ndarray) -> list[float]:
    """Return the IoU of each pair of the same objects, (N, frames, height, width) and (M, frames, height, width)."""
    if not len(ours) or not len(theirs):
        return []
    a, b = (objects.reshape(len(objects), -1).astype(np.float32) for objects in (ours, theirs))
    shared = a @ b.T
    ious = shared / (a.sum(axis=1)[:, None] + b.sum(axis=1) - shared)
    return [float(iou) for iou in ious[linear_sum_assignment(-ious)] if iou >= SAME_IOU]
