"""Proposing masks: all phrases of an image at a low threshold, the sure ones offered, the others kept as evidence."""

from collections.abc import Callable, Sequence
from importlib.metadata import version

import numpy as np

from engine.pairs import Pair, Proposal
from sam3_tool.image import Image
from sam3_tool.instances import Instances
from sam3_tool.masks.rle import RleMask, compute_ious
from sam3_tool.prompts import ConceptPrompt
from sam3_tool.sam3 import Sam3

EVIDENCE_THRESHOLD, OFFER_THRESHOLD = 0.05, 0.5
"""Scores above the first are kept, and above the second offered."""
MAX_IOU = 0.7
"""Of two masks of one phrase that agree by more, the better one is kept: the other is the same object again."""
FIND_NO_PARENT = dict[str, str]().get

SignalFn = Callable[[Sam3, Image, Sequence[Pair], Sequence[Proposal]], Sequence[Proposal]]
"""Adds what SAM 3 says in other ways to the proposals of one image, while that is still encoded."""
ParentFn = Callable[[str], str | None]
"""Returns a coarser phrase for a phrase, or None."""


def describe_recipe(sam3: Sam3, *, is_mirrored: bool = False) -> str:
    """Say what proposals depend on beside image and phrase: those of another recipe are made anew.

    Args:
        sam3: Who proposes.
        is_mirrored: Whether signals of the mirrored image are wanted; the masks are the same.

    >>> from sam3_tool import ScriptedBackend
    >>> describe_recipe(Sam3(ScriptedBackend({})))
    'scripted, above 0.5 (evidence 0.05), IoU below 0.7'
    """
    weights = f"{sam3.name}@{sam3.fingerprint[:16]}".rstrip("@")
    mirrored = ", mirrored too" * is_mirrored
    return f"{weights}, above {OFFER_THRESHOLD} (evidence {EVIDENCE_THRESHOLD}), IoU below {MAX_IOU}{mirrored}"


def describe_maker(recipe: str) -> str:
    """Say who makes a proposal: its recipe and the version of this program."""
    return f"{recipe}; sam3-agent {version('sam3-agent')}"


def get_recipe(made_by: str) -> str:
    """Return the recipe of `Proposal.made_by`.

    >>> get_recipe(describe_maker("tiny@12, above 0.5"))
    'tiny@12, above 0.5'
    """
    return made_by.rpartition("; ")[0]


def propose_masks(
    sam3: Sam3, images: Sequence[tuple[Image, Sequence[Pair]]], *, find_parent: ParentFn = FIND_NO_PARENT
) -> list[list[Proposal]]:
    """Ask SAM 3 for the masks of pairs.

    Args:
        sam3: The segmenter.
        images: Images with pairs of each.
        find_parent: Tells what is asked in the place of a phrase that these weights do not know.

    Returns:
        For each image, a proposal for each of its pairs, in order.

    >>> from sam3_tool.synthetic.scenes import draw_scene
    >>> image = Image(draw_scene(6).pixels)
    >>> pair = Pair(image=image.key, phrase="object", original="objects", origin="list")
    >>> [[proposal]] = propose_masks(Sam3.load("tiny"), [(image, [pair])])
    >>> len(proposal.masks) > 0 and min(proposal.scores) > 0.5
    True
    """
    made_by = describe_maker(describe_recipe(sam3))
    asked = [[_choose_phrase(sam3, pair.phrase, find_parent) for pair in pairs] for _, pairs in images]
    requests = [
        (image, ConceptPrompt(phrase, threshold=EVIDENCE_THRESHOLD))
        for (image, _), phrases in zip(images, asked, strict=True)
        for phrase in phrases
    ]
    found = iter(sam3.segment_batch(requests))
    return [
        [
            build_proposal(pair, next(found), made_by=made_by, asked="" if phrase == pair.phrase else phrase)
            for pair, phrase in zip(pairs, phrases, strict=True)
        ]
        for (_, pairs), phrases in zip(images, asked, strict=True)
    ]


def _choose_phrase(sam3: Sam3, phrase: str, find_parent: ParentFn) -> str:
    """Return what is asked: the phrase, or a coarser one that the weights know while they do not know the phrase."""
    parent = find_parent(phrase)
    if not parent or not sam3.find_unknown_words(phrase) or sam3.find_unknown_words(parent):
        return phrase
    return parent


def build_proposal(pair: Pair, found: Instances, *, made_by: str, asked: str = "") -> Proposal:
    """Sort what SAM 3 found into what is offered and what is evidence.

    Args:
        pair: The pair.
        found: Instances with scores above `EVIDENCE_THRESHOLD`.
        made_by: See `Proposal`.
        asked: See `Proposal`.

    Returns:
        The proposal. Empty masks are left out.
    """
    scores = [float(score) for score in found.scores]
    kept = select_distinct(found.rles, scores)
    offered = [index for index in kept if scores[index] > OFFER_THRESHOLD]
    evidence = [index for index in kept if scores[index] <= OFFER_THRESHOLD]
    return Proposal(
        pair=pair.key,
        masks=tuple(found.rles[index] for index in offered),
        scores=tuple(scores[index] for index in offered),
        presence=min(1.0, max(0.0, float(found.presence))),
        evidence=tuple(found.rles[index] for index in evidence),
        evidence_scores=tuple(scores[index] for index in evidence),
        made_by=made_by,
        asked=asked,
    )


def select_distinct(masks: Sequence[RleMask], scores: Sequence[float]) -> list[int]:
    """Select the best of masks that are the same object: NMS by the IoU of masks.

    Args:
        masks: Of one image.
        scores: One for each.

    Returns:
        Indexes, best score first; at a tie the earlier mask wins.

    >>> select_distinct([RleMask((2, 3), "06"), RleMask((2, 3), "06"), RleMask((2, 3), "024")], [0.5, 0.9, 0.7])
    [1, 2]
    """
    order = [int(index) for index in np.argsort([-score for score in scores], kind="stable")]
    ious = compute_ious(masks, masks)
    filled = [index for index in order if ious[index, index] > 0]  # an empty mask agrees with nothing, not itself
    kept: list[int] = []
    for index in filled:
        if all(ious[index, other] <= MAX_IOU for other in kept):
            kept.append(index)
    return kept
