"""What is known of each mask after several looks, as log odds that it belongs to the answer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import exp, log

from agent.core.tools.verdict import Verdict
from agent.core.workspace import Candidate, Workspace
from agent.tools.refine import REFINE_ORIGIN
from sam3_tool.masks.rle import compute_ious

MOST = 4.0
"""Log odds that one look can be worth: stated probabilities are too extreme more often than not."""
SAME_OBJECT = 0.7
"""IoU from which on masks of different phrases are one object, of which the best scored is shown."""
SAME_OUTLINE = 0.8
"""The same in a tournament: two outlines of one object that overlap less than this are rivals."""
SAME_PLACE = 0.5
"""IoU from which on the model's own box stands for a mask."""
SECOND_LOOK_WEIGHT = 1.5
"""Of a second, larger look; a first one has the weight 1. Looks are averaged, for their errors are alike."""
PHRASE_SUPPORT = 0.4
"""Log odds for each further phrase that found the same object."""
BOX_SUPPORT, BOX_DOUBT = 1.2, -0.4
"""Log odds for a mask where the model's own box is, and where it is not."""


@dataclass(frozen=True)
class Look:
    """The verdicts of one look, and what the look is worth beside others."""

    verdicts: Sequence[Verdict]
    weight: float = 1.0


def compute_logit(probability: float) -> float:
    """Compute the log odds of a probability, at most `MOST` either way.

    >>> compute_logit(0.5), compute_logit(1.0)
    (0.0, 4.0)
    """
    share = min(max(probability, 1e-6), 1 - 1e-6)
    return min(max(log(share / (1 - share)), -MOST), MOST)


def compute_probability(logit: float) -> float:
    """Compute the probability of log odds.

    >>> compute_probability(0.0)
    0.5
    """
    return 1 / (1 + exp(-logit))


def average_looks(looks: Sequence[Look]) -> dict[int, float]:
    """Average the log odds of each mask over the looks that judged it."""
    sums: dict[int, tuple[float, float]] = {}
    for look in looks:
        for verdict in look.verdicts:
            total, weight = sums.get(verdict.id, (0.0, 0.0))
            sums[verdict.id] = total + look.weight * compute_logit(verdict.probability), weight + look.weight
    return {id: total / weight for id, (total, weight) in sums.items()}


def choose_representatives(workspace: Workspace, ids: Sequence[int], *, least: float = SAME_OBJECT) -> list[int]:
    """Choose one mask for each object that several phrases found: the first of the best score, in the order of ids.

    `least`: IoU from which on two masks are one object.
    """
    kept: list[int] = []
    for id in sorted(ids, key=lambda id: (workspace[id].origin.startswith(REFINE_ORIGIN), -workspace[id].score, id)):
        if not kept or compute_ious([workspace[id].rle], workspace.get_rles(kept)).max() < least:
            kept.append(id)
    return sorted(kept)


def measure_support(
    workspace: Workspace, id: int, *, wants_one: bool, known: int = 0, least: float = SAME_OBJECT
) -> float:
    """Measure, as log odds, what it is worth that phrases found the same, and that the model's own box is there.

    `known`: masks that were found before the query, whose phrases and boxes say nothing of it. `least`: IoU from which
    on two masks are one object.
    """
    candidates = [other for other in workspace if other.origin.startswith("segment") and other.id > known]
    same = _find_overlapping(workspace[id], candidates, least)
    support = PHRASE_SUPPORT * max(0, len({candidate.phrase for candidate in same}) - 1)
    boxed = list_boxed(workspace, known=known)
    if not boxed:
        return support
    if find_same_place(workspace, [id], boxed):
        return support + BOX_SUPPORT
    return support + (BOX_DOUBT if wants_one else 0.0)


def list_boxed(workspace: Workspace, *, known: int = 0) -> list[int]:
    """List the masks that were made of a box alone after the first `known`: where the model itself sees something."""
    return [other.id for other in workspace if other.id > known and other.origin.startswith(f"{REFINE_ORIGIN}:")]


def find_same_place(workspace: Workspace, ids: Sequence[int], others: Sequence[int]) -> list[int]:
    """Find those of `ids` whose mask lies where one of the others does."""
    near = [workspace[other] for other in others]
    return [id for id in ids if _find_overlapping(workspace[id], near, SAME_PLACE)]


def _find_overlapping(mask: Candidate, others: Sequence[Candidate], least: float) -> list[Candidate]:
    if not others:
        return []
    overlap = compute_ious([mask.rle], [other.rle for other in others])[0]
    return [other for other, share in zip(others, overlap, strict=True) if share >= least]


def find_uncertain(evidence: Mapping[int, float], *, wants_one: bool, margin: float) -> list[int]:
    """Find the masks whose place in the answer is in doubt.

    Args:
        evidence: Log odds of each mask.
        wants_one: Whether only the best of them is the answer.
        margin: Log odds within which nothing is certain.

    Returns:
        The masks near the border between accepting and rejecting; of one that is wanted, the best and its near rivals,
        best first. None where nothing is in doubt.

    Example:
        >>> find_uncertain({1: 2.0, 2: 1.5, 3: -3.0}, wants_one=True, margin=1.0)
        [1, 2]
    """
    ranked = sorted(evidence, key=lambda id: -evidence[id])
    if not wants_one or not ranked:
        return [id for id in ranked if abs(evidence[id]) < margin]
    best = evidence[ranked[0]]
    near = [id for id in ranked if evidence[id] > best - margin]
    return near if len(near) > 1 or best < margin else []
