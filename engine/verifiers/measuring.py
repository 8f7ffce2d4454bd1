"""What SAM 3 says of its own masks when it is asked again: by their boxes, and with them as exemplars."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from sam3_tool import CheckpointError, ConceptPrompt, Image, Instances, Sam3, VisualPrompt
from sam3_tool.masks.rle import RleMask, compute_areas, compute_boxes, compute_coverage, compute_ious
from sam3_tool.prompts import Box

log = logging.getLogger(__name__)

COVERED_IOU = 0.5
"""From this IoU with an offered mask on, a weak or a second finding is the same object."""
EVIDENCE_THRESHOLD = 0.05
"""Findings that score no higher are not looked at (specification of the stage `masks`)."""

SIGNALS_VERSION = 1
"""Goes up whenever the same masks get other signals."""


@dataclass(frozen=True, eq=False)
class PhraseFindings:
    """What SAM 3 found for one phrase in one image: what is offered, and what is too weak to be.

    >>> PhraseFindings("cup", (), (), 0.02).evidence
    ()
    """

    phrase: str
    masks: tuple[RleMask, ...]
    """Offered: above 0.5, of the image's size."""
    scores: tuple[float, ...]
    """In (0.5, 1], one per mask."""
    presence: float
    """In [0, 1]."""
    evidence: tuple[RleMask, ...] = ()
    """Between `EVIDENCE_THRESHOLD` and 0.5: not offered."""
    evidence_scores: tuple[float, ...] = ()


@dataclass(frozen=True)
class SignalSet:
    """The signals of one pair, by name: the values that `Proposal.mask_signals` and `pair_signals` hold.

    >>> SignalSet((), {"presence": 0.02}).masks
    ()
    """

    masks: tuple[dict[str, float], ...]
    """One per offered mask."""
    pair: dict[str, float]


def measure_signals(sam3: Sam3, image: Image, findings: Sequence[PhraseFindings]) -> list[SignalSet]:
    """Ask SAM 3 again about all that it found in one image, in one batch, and compare the answers.

    Each offered mask's box goes to the tracker; all boxes of a phrase go back to the detector as exemplars. The image
    is remembered from the first search, so that this costs decoders alone. A backend without clicks leaves the
    tracker's two signals out, and the log says so.

    Signals of a mask, all in [0, 1]:

    - `score`, `area` (share of the image)
    - `agreement`: IoU with the tracker's answer to its box; `predicted_iou`: what the tracker says of that answer
    - `exemplar_score`: the highest score of an exemplar's finding that is the same object
    - `overlap`: the highest share of the smaller mask that it has in common with another mask of the phrase
    - `rival_score`: the highest score of a mask of another phrase that is the same object

    Signals of a pair, in [0, 1] but for the counts: `presence`, `masks` (how many), and what `compare_findings` says of
    weak evidence (`uncovered`, `uncovered_free`) and of the exemplars' findings (`exemplar_uncovered`,
    `exemplar_free`).

    Args:
        sam3: The segmenter that found the masks.
        image: The image that they are in.
        findings: What was found, of all phrases that were asked for in this image: they are compared with each other.

    Returns:
        One set per phrase, in order.

    Raises:
        CheckpointError: The backend cannot be asked with boxes.

    >>> import numpy as np
    >>> from sam3_tool import ScriptedBackend
    >>> image = Image(np.zeros((4, 6, 3), np.uint8))
    >>> [signals] = measure_signals(Sam3(ScriptedBackend({})), image, [PhraseFindings("cup", (), (), 0.25)])
    >>> signals.pair["presence"], signals.pair["uncovered"]
    (0.25, 0.0)
    """
    boxes = [_list_boxes(found) for found in findings]
    tracked, exemplars = _ask_again(sam3, image, findings, boxes)
    measured = []
    for index, found in enumerate(findings):
        others = [other for place, other in enumerate(findings) if place != index]
        second = exemplars[index]
        masks = _measure_masks(found, tracked[index], second, others)
        measured.append(SignalSet(masks, _measure_pair(found, second, others)))
    return measured


def compare_findings(
    offered: Sequence[RleMask], masks: Sequence[RleMask], scores: Sequence[float], others: Sequence[PhraseFindings]
) -> tuple[float, float]:
    """Compare further findings of a phrase with its offered masks.

    Args:
        offered: The masks that are offered, or accepted.
        masks: N further findings.
        scores: In [0, 1], one per finding.
        others: What was found for other phrases.

    Returns:
        The highest score of a finding that no offered mask covers, and the highest of one that no mask of another
        phrase covers either. 0 where there is none.

    >>> compare_findings([], [RleMask((2, 3), "06")], [0.25], [])
    (0.25, 0.25)
    """
    if not masks:
        return 0.0, 0.0
    taken = [mask for other in others for mask in other.masks]
    values = np.asarray(scores, np.float64)
    open_places = compute_ious(masks, offered).max(axis=1, initial=0) < COVERED_IOU
    free = open_places & (compute_ious(masks, taken).max(axis=1, initial=0) < COVERED_IOU)
    return float(values[open_places].max(initial=0)), float(values[free].max(initial=0))


def _list_boxes(found: PhraseFindings) -> list[Box]:
    """Return the extents of the offered masks; an empty mask, which has none, gets a pixel in the corner."""
    boxes = compute_boxes(found.masks)
    boxes[:, 2:] = np.maximum(boxes[:, 2:], boxes[:, :2] + 1)
    return [(float(x0), float(y0), float(x1), float(y1)) for x0, y0, x1, y1 in boxes]


def _ask_again(
    sam3: Sam3, image: Image, findings: Sequence[PhraseFindings], boxes: Sequence[Sequence[Box]]
) -> tuple[list[list[Instances]], list[Instances | None]]:
    """Return the tracker's answers of each phrase, one per mask, or none at all; and the exemplars' findings."""
    again = [
        (image, ConceptPrompt(found.phrase, tuple(asked), threshold=EVIDENCE_THRESHOLD))
        for found, asked in zip(findings, boxes, strict=True)
        if asked
    ]
    clicks = [(image, VisualPrompt(box=box)) for asked in boxes for box in asked]
    try:
        answers = sam3.segment_batch([*again, *clicks])
    except CheckpointError as error:
        log.warning("the tracker's signals are left out: %s", error)
        asked_again = iter(sam3.segment_batch(again))
        return [[] for _ in findings], [next(asked_again) if found.masks else None for found in findings]
    asked_again, tracked = iter(answers[: len(again)]), answers[len(again) :]
    ends = np.cumsum([0, *map(len, boxes)])
    second = [next(asked_again) if asked else None for asked in boxes]
    return [tracked[start:stop] for start, stop in pairwise(ends)], second


def _measure_masks(
    found: PhraseFindings, tracked: Sequence[Instances], exemplars: Instances | None, others: Sequence[PhraseFindings]
) -> tuple[dict[str, float], ...]:
    if not found.masks:
        return ()
    height, width = found.masks[0].size
    areas = compute_areas(found.masks)
    shares = compute_coverage(found.masks, found.masks)
    shared = np.maximum(shares, shares.T)
    np.fill_diagonal(shared, 0)
    rivals = _find_highest_scores(found.masks, *_join_findings(others))
    again = _find_highest_scores(found.masks, *_split_instances(exemplars))
    return tuple(
        {
            "score": float(found.scores[index]),
            "area": float(areas[index] / (height * width)),
            "exemplar_score": again[index],
            "overlap": float(min(1.0, shared[index].max(initial=0))),
            "rival_score": rivals[index],
        }
        | (_measure_agreement(found.masks[index], tracked[index]) if tracked else {})
        for index in range(len(found.masks))
    )


def _measure_agreement(mask: RleMask, tracked: Instances) -> dict[str, float]:
    if not len(tracked):
        return {"agreement": 0.0, "predicted_iou": 0.0}
    agreement = float(compute_ious([mask], [tracked.rles[0]])[0, 0])
    return {"agreement": agreement, "predicted_iou": float(np.clip(tracked.scores[0], 0, 1))}


def _measure_pair(
    found: PhraseFindings, exemplars: Instances | None, others: Sequence[PhraseFindings]
) -> dict[str, float]:
    uncovered, free = compare_findings(found.masks, found.evidence, found.evidence_scores, others)
    further, further_free = compare_findings(found.masks, *_split_instances(exemplars), others)
    return {
        "presence": float(found.presence),
        "masks": float(len(found.masks)),
        "uncovered": uncovered,
        "uncovered_free": free,
        "exemplar_uncovered": further,
        "exemplar_free": further_free,
    }


def _find_highest_scores(masks: Sequence[RleMask], others: Sequence[RleMask], scores: Sequence[float]) -> list[float]:
    """Return the highest score of another mask that is the same object, for each mask; 0 where there is none."""
    same = compute_ious(masks, others) >= COVERED_IOU
    return [float(value) for value in (same * np.asarray(scores, np.float64)[None, :]).max(axis=1, initial=0)]


def _join_findings(findings: Sequence[PhraseFindings]) -> tuple[list[RleMask], list[float]]:
    masks = [mask for found in findings for mask in found.masks]
    return masks, [score for found in findings for score in found.scores]


def _split_instances(found: Instances | None) -> tuple[Sequence[RleMask], Sequence[float]]:
    return ((), ()) if found is None else (found.rles, [float(score) for score in found.scores])
