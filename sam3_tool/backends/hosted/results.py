"""What was found, as instances of the image's own size."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from sam3_tool.backends.hosted.records import FoundObject
from sam3_tool.backends.hosted.sent_images import SentImage
from sam3_tool.costs import CallCost
from sam3_tool.instances import Instances
from sam3_tool.masks.rle import RleMask, compute_areas, compute_ious, encode_mask, encode_mask_at

SAME_OBJECT = 0.5
"""Masks with an IoU above this are one object."""


@dataclass(frozen=True, eq=False)
class FoundMask:
    """One object of the image."""

    rle: RleMask
    box: tuple[float, float, float, float]
    """x0 y0 x1 y1 in pixels of the image."""
    score: float
    area: int
    """In pixels of the image."""


def to_own_size(found: FoundObject, sent: SentImage) -> FoundMask:
    """Give an object the size of the image. Where the server gives no confidence, the score is 1."""
    x0, y0, x1, y1 = found.box
    if sent.is_reduced:
        mask = np.zeros((sent.height, sent.width), np.uint8)
        mask[y0:y1, x0:x1] = found.inside * np.uint8(255)
        size = (sent.own_width, sent.own_height)
        rle = encode_mask(cv2.resize(mask, size, interpolation=cv2.INTER_LINEAR) > 127)
    else:
        rle = encode_mask_at(found.inside, x0, y0, sent.height, sent.width)
    x_scale, y_scale = sent.scale
    box = (x0 / x_scale, y0 / y_scale, x1 / x_scale, y1 / y_scale)
    score = 1.0 if found.confidence is None else float(np.float32(found.confidence))
    return FoundMask(rle, box, score, int(compute_areas([rle])[0]))


def combine_examples(
    found: Sequence[FoundMask], like: Sequence[FoundMask], unlike: Sequence[FoundMask]
) -> list[FoundMask]:
    """Add the objects that boxes show as examples, and leave out those that they show as none.

    Args:
        found: For the phrase.
        like: The object in each positive box.
        unlike: The object in each negative box.

    Returns:
        All but those that are the same as one of `unlike`, and those of `like` that are not among them.
    """
    kept = [mask for mask in found if not _is_among(mask, unlike)]
    return kept + [mask for mask in like if not _is_among(mask, kept)]


def _is_among(mask: FoundMask, others: Sequence[FoundMask]) -> bool:
    ious = compute_ious([mask.rle], [other.rle for other in others]) if others else np.zeros(0)
    return bool((ious > SAME_OBJECT).any())


def build_instances(found: Sequence[FoundMask], sent: SentImage, *, phrase: str, cost: CallCost) -> Instances:
    """Return masks as instances, best score first. Their presence is the best score: the protocol has none."""
    ordered = sorted(found, key=lambda mask: -mask.score)
    scores = np.array([mask.score for mask in ordered], np.float32)
    return Instances.from_rles(
        [mask.rle for mask in ordered],
        (sent.own_height, sent.own_width),
        boxes=np.array([mask.box for mask in ordered], np.float32).reshape(-1, 4),
        scores=scores,
        presence=float(scores.max(initial=0.0)),
        phrase=phrase,
        cost=cost,
    )
