"""What SAM 3 finds in the mirrored image, compared with what it found in the image: it costs one more encode."""

from collections.abc import Sequence

import numpy as np

from engine.verifiers.measuring import (
    COVERED_IOU,
    EVIDENCE_THRESHOLD,
    PhraseFindings,
    SignalSet,
    compare_findings,
)
from sam3_tool import ConceptPrompt, Image, Instances, Sam3
from sam3_tool.masks.rle import RleMask, compute_ious, decode_mask, encode_mask


def measure_mirrored(sam3: Sam3, image: Image, findings: Sequence[PhraseFindings]) -> list[SignalSet]:
    """Ask for every phrase of an image in its mirror image, and compare the answers with what was found.

    A mask that SAM 3 is sure of is found again, and nothing else is. What the two answers do not share is more often
    wrong.

    Signals of a mask, all in [0, 1]: `mirrored_iou`, the highest IoU with a finding in the mirrored image, and
    `mirrored_score`, the highest score of one that is the same object. Signals of a pair, in [0, 1]:
    `mirrored_presence`, and what `compare_findings` says of the findings in the mirrored image (`mirrored_uncovered`,
    `mirrored_free`).

    Args:
        sam3: The segmenter that found the masks.
        image: The image that they are in.
        findings: What was found, of all phrases that were asked for in this image.

    Returns:
        One set per phrase, in order, of these signals alone.

    >>> from sam3_tool import ScriptedBackend
    >>> image = Image(np.zeros((4, 6, 3), np.uint8))
    >>> [signals] = measure_mirrored(Sam3(ScriptedBackend({})), image, [PhraseFindings("cup", (), (), 0.25)])
    >>> signals.pair
    {'mirrored_presence': 0.0, 'mirrored_uncovered': 0.0, 'mirrored_free': 0.0}
    """
    mirrored = Image(np.ascontiguousarray(image.pixels[:, ::-1]))
    asked = [(mirrored, ConceptPrompt(found.phrase, threshold=EVIDENCE_THRESHOLD)) for found in findings]
    return [
        _compare_answer(found, again, [other for other in findings if other is not found])
        for found, again in zip(findings, sam3.segment_batch(asked), strict=True)
    ]


def mirror_mask(mask: RleMask) -> RleMask:
    """Mirror a mask left to right.

    >>> mirror_mask(encode_mask(np.array([[True, False, False]]))) == encode_mask(np.array([[False, False, True]]))
    True
    """
    return encode_mask(np.ascontiguousarray(decode_mask(mask)[:, ::-1]))


def _compare_answer(found: PhraseFindings, again: Instances, others: Sequence[PhraseFindings]) -> SignalSet:
    masks = [mirror_mask(mask) for mask in again.rles]
    scores = np.asarray(again.scores, np.float64)
    ious = compute_ious(found.masks, masks)
    best = ious.max(axis=1, initial=0)
    same = (scores[None, :] * (ious >= COVERED_IOU)).max(axis=1, initial=0)
    uncovered, free = compare_findings(found.masks, masks, scores.tolist(), others)
    return SignalSet(
        tuple(
            {"mirrored_iou": float(iou), "mirrored_score": float(score)} for iou, score in zip(best, same, strict=True)
        ),
        {
            "mirrored_presence": float(np.clip(again.presence, 0, 1)),
            "mirrored_uncovered": uncovered,
            "mirrored_free": free,
        },
    )
