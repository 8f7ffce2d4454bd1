"""What the review tells of people and of the model: who agrees with whom, and why masks fail."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from itertools import combinations
from statistics import median
from typing import Any

from engine.pairs import Correction
from engine.quality.measures.agreement import Agreement, compute_instance_f1, compute_kappa, compute_mean_kappa
from engine.review.queue.tables import Answer, simplify_choice
from sam3_tool.masks.rle import RleMask

HASTY_SECONDS = 0.4
"""Nobody has looked at an item that was answered sooner."""
FACETS = ("stage", "choice", "reason", "phrase", "domain", "size")
"""By which answers that are no acceptance can be counted."""


def describe_people(answers: Sequence[Answer]) -> list[dict[str, Any]]:
    """Describe how each person works.

    Args:
        answers: Of everybody, without those taken back.

    Returns:
        Per person: answers, median seconds, share accepted, agreement with others (share and kappa), accuracy on gold
        items, and answers below 0.4 s.
    """
    by_person: dict[str, list[Answer]] = defaultdict(list)
    for answer in answers:
        by_person[answer.person].append(answer)
    pairs = find_double_answers(answers)
    return [_describe_person(person, own, pairs) for person, own in sorted(by_person.items())]


def _describe_person(person: str, own: Sequence[Answer], pairs: Sequence[tuple[Answer, Answer]]) -> dict[str, Any]:
    turned = [(a, b) if a.person == person else (b, a) for a, b in pairs if person in (a.person, b.person)]
    agreement = compute_kappa(
        [simplify_choice(mine.choice) for mine, _ in turned], [simplify_choice(other.choice) for _, other in turned]
    )
    golds = [answer for answer in own if answer.kind == "gold" and answer.gold is not None]
    judged = [answer for answer in own if answer.stage != "correct"]
    return {
        "person": person,
        "answers": len(own),
        "seconds": {
            stage: median(answer.seconds for answer in own if answer.stage == stage)
            for stage in sorted({answer.stage for answer in own})
        },
        "accepted": _compute_share(answer.is_accepted for answer in judged),
        "agreement": describe_agreement(agreement),
        "gold": _compute_share(simplify_choice(answer.choice) == simplify_choice(str(answer.gold)) for answer in golds),
        "golds": len(golds),
        "hasty": sum(answer.seconds < HASTY_SECONDS for answer in own),
    }


def _compute_share(values: Iterable[bool]) -> float | None:
    held = list(values)
    return sum(held) / len(held) if held else None


def find_double_answers(answers: Iterable[Answer]) -> list[tuple[Answer, Answer]]:
    """Return every pair of answers of two people to one item; gold items, whose answer is known, are left out."""
    by_item: dict[int, list[Answer]] = defaultdict(list)
    for answer in answers:
        if answer.kind != "gold" and answer.stage != "correct":
            by_item[answer.item].append(answer)
    return [pair for held in by_item.values() for pair in combinations(held, 2)]


def compute_agreements(answers: Sequence[Answer], corrections: Iterable[Sequence[Correction]]) -> dict[str, Any]:
    """Compute how far people agree.

    Args:
        answers: Of everybody.
        corrections: For each pair with several, the corrections of different people.

    Returns:
        'mv' and 'ev': items, share and Cohen's kappa; 'correct': pairs of corrections and their mean instance F1.
    """
    doubles = find_double_answers(answers)
    found: dict[str, Any] = {}
    for stage in ("mv", "ev"):
        pairs = [
            (a.person, simplify_choice(a.choice), b.person, simplify_choice(b.choice))
            for a, b in doubles
            if a.stage == stage
        ]
        found[stage] = describe_agreement(compute_mean_kappa(pairs))
    scores = [
        compute_instance_f1(list_single_masks(a), list_single_masks(b))
        for several in corrections
        for a, b in combinations(several, 2)
    ]
    found["correct"] = {"items": len(scores), "f1": sum(scores) / len(scores) if scores else None}
    return found


def list_single_masks(correction: Correction) -> list[RleMask]:
    """List the masks of a correction that are one object each."""
    return [mask for mask, is_group in zip(correction.masks, correction.groups, strict=True) if not is_group]


def describe_agreement(agreement: Agreement) -> dict[str, Any]:
    """Return an agreement without NaN, which is no JSON."""
    observed, kappa = agreement.observed, agreement.kappa
    return {
        "items": agreement.items,
        "observed": None if observed != observed else observed,  # NaN
        "kappa": None if kappa != kappa else kappa,
    }


def count_failures(answers: Iterable[Answer], chosen: dict[str, str]) -> dict[str, list[tuple[str, int]]]:
    """Count what was not accepted, by every facet: why did it fail?

    Args:
        answers: Of everybody.
        chosen: Facet -> the value to which the count is narrowed.

    Returns:
        Facet -> its values with their counts, the largest first; only the first 50 of each.
    """
    failed = [answer for answer in filter_failures(answers, chosen)]
    return {facet: Counter(str(getattr(answer, facet)) for answer in failed).most_common(50) for facet in FACETS}


def filter_failures(answers: Iterable[Answer], chosen: dict[str, str]) -> Iterable[Answer]:
    """Return the answers that are no acceptance and have these values."""
    return (
        answer
        for answer in answers
        if answer.stage != "correct"
        and not answer.is_accepted
        and all(getattr(answer, facet) == value for facet, value in chosen.items())
    )
