"""Which negatives are hard: those for which the current SAM 3 finds what a positive phrase named."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from engine.phrases.negatives.candidates import NegativeCandidate, Positive, hash_text
from sam3_tool.image import Image
from sam3_tool.masks.rle import RleMask, compute_ious
from sam3_tool.prompts import ConceptPrompt
from sam3_tool.sam3 import Sam3

MIN_OVERLAP = 0.5
"""IoU above which a mask lies on a positive's (SAM 3 paper, appendix D)."""
HARD_SHARE = 0.75
"""Of the negatives of an image, as far as there are as many hard ones."""


@dataclass(frozen=True)
class CheckedNegative:
    """A candidate, and what SAM 3 finds for it.

    >>> CheckedNegative(NegativeCandidate("blue cup", "attribute", ("red cup",)), "red cup", 0.83).is_hard
    True
    """

    candidate: NegativeCandidate
    parent: str = ""
    """The positive phrase whose mask it takes most of; "" where it takes none."""
    overlap: float = 0.0
    """Largest IoU, in [0, 1], of a mask found for it with a verified mask of a parent."""

    @property
    def is_hard(self) -> bool:
        """Whether SAM 3 takes a positive's mask for it."""
        return self.overlap > MIN_OVERLAP


def check_candidates(
    sam3: Sam3, image: Image, candidates: Sequence[NegativeCandidate], positives: Iterable[Positive]
) -> list[CheckedNegative]:
    """Ask SAM 3 for each candidate, and compare what it finds with the verified masks of the candidate's parents.

    Args:
        sam3: The current one; the image is encoded once.
        image: The image that the candidates are about.
        candidates: Any number.
        positives: Those that the candidates name as parents, with their verified masks.

    Returns:
        One result per candidate, in order.

    >>> import numpy as np
    >>> from sam3_tool import ScriptedBackend
    >>> image = Image(np.zeros((4, 6, 3), np.uint8))
    >>> candidate = NegativeCandidate("blue cup", "attribute", ("red cup",))
    >>> check_candidates(Sam3(ScriptedBackend({})), image, [candidate], [Positive("red cup")])[0].is_hard
    False
    """
    found = sam3.segment_batch([(image, ConceptPrompt(candidate.phrase)) for candidate in candidates])
    verified = {positive.phrase: positive.masks for positive in positives}
    return [
        _compare_masks(candidate, instances.rles, verified)
        for candidate, instances in zip(candidates, found, strict=True)
    ]


def choose_negatives(
    checked: Sequence[CheckedNegative],
    easy: Sequence[NegativeCandidate],
    *,
    wanted: int,
    hard_share: float = HARD_SHARE,
    seed: str = "",
) -> list[CheckedNegative]:
    """Choose the negatives of an image: three hard ones for each easy one, and easy ones where the hard are too few.

    Args:
        checked: What SAM 3 found for the near candidates.
        easy: Candidates that have nothing to do with the image.
        wanted: How many in all.
        hard_share: In [0, 1], the share of hard ones as long as there are enough.
        seed: Of the order in which near candidates that mislead nobody fill up.

    Returns:
        The hard ones first, those with the largest overlap before others; then easy ones, and near ones that are not
        hard, in turns.

    >>> hard = CheckedNegative(NegativeCandidate("blue cup", "attribute", ("red cup",)), "red cup", 0.9)
    >>> easy = [NegativeCandidate(word, "easy") for word in ("cat", "kite", "moon")]
    >>> [entry.candidate.phrase for entry in choose_negatives([hard], easy, wanted=3)]
    ['blue cup', 'cat', 'kite']
    """
    hard = sorted(
        (negative for negative in checked if negative.is_hard),
        key=lambda negative: (-negative.overlap, negative.candidate.phrase),
    )
    kept = hard[: round(wanted * hard_share)]
    near = sorted(
        (negative for negative in checked if not negative.is_hard),
        key=lambda negative: hash_text(f"{seed}\0{negative.candidate.phrase}"),
    )
    others = _take_turns([CheckedNegative(candidate) for candidate in easy], near)
    return [*kept, *others[: max(0, wanted - len(kept))]]


def measure_hardness(checked: Iterable[CheckedNegative]) -> dict[str, tuple[int, int]]:
    """Count, by origin, how many candidates mislead SAM 3, of how many.

    >>> hard = CheckedNegative(NegativeCandidate("blue cup", "attribute", ("red cup",)), "red cup", 0.9)
    >>> measure_hardness([hard])
    {'attribute': (1, 1)}
    """
    counts: dict[str, tuple[int, int]] = {}
    for negative in checked:
        hard, all_of = counts.get(negative.candidate.origin, (0, 0))
        counts[negative.candidate.origin] = hard + negative.is_hard, all_of + 1
    return counts


def _compare_masks(
    candidate: NegativeCandidate, found: Sequence[RleMask], verified: Mapping[str, Sequence[RleMask]]
) -> CheckedNegative:
    best = CheckedNegative(candidate)
    for parent in candidate.parents:
        masks = verified.get(parent, ())
        overlap = float(compute_ious(found, masks).max()) if found and masks else 0.0
        if overlap > best.overlap:
            best = CheckedNegative(candidate, parent, overlap)
    return best


def _take_turns(easy: Sequence[CheckedNegative], near: Sequence[CheckedNegative]) -> list[CheckedNegative]:
    mixed = [negative for pair in zip(easy, near, strict=False) for negative in pair]
    shorter = min(len(easy), len(near))
    return [*mixed, *easy[shorter:], *near[shorter:]]
