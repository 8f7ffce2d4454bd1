"""How far people agree with each other: accuracy of a model must be read beside it."""

from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np

from engine.pairs import Correction, Judgement, Stage
from engine.quality.measures.agreement import Agreement, compute_instance_f1, compute_mean_kappa
from engine.quality.measures.evidence import PairEvidence
from engine.quality.measures.label_scores import select_defined
from evals.metrics.cgf1 import OutcomePool, PairOutcome, choose_best_outcome, match_instances
from sam3_tool.masks.rle import RleMask, compute_ious

Subject = tuple[str, int | None, tuple[int, ...]]
"""What was judged: the pair, the mask or None for coverage, and the masks that were shown for it."""


@dataclass(frozen=True)
class CorrectionAgreement:
    """How far two corrections of a pair agree, as SAM 3's paper (appendix E.4) tells it of annotators.

    >>> CorrectionAgreement(0).random_pair is None
    True
    """

    pairs: int
    """With corrections by two people or more, all of them exhaustive and without group masks."""
    f1: float | None = None
    """Mean F1 of instances at IoU 0.5 to 0.95, of all two people, in [0, 1]."""
    random_pair: dict[str, float] | None = None
    """cgF1, pmF1 (in percent) and IL_MCC of one person against another, both drawn at random.

    Those that mean something: see `select_defined`.
    """
    oracle: dict[str, float] | None = None
    """The same of one person, drawn at random, against whoever of the others agrees most."""


def group_opinions(pairs: Sequence[PairEvidence], stage: Stage) -> dict[Subject, dict[str, str]]:
    """Group what people say by what they were asked.

    Returns:
        Subject -> person -> their latest choice, people in the order in which they first answered. Answers to test
        items are not among them.
    """
    opinions: dict[Subject, dict[str, str]] = defaultdict(dict)
    for pair in pairs:
        for entry in pair.by_people:
            if isinstance(entry, Judgement) and entry.stage == stage:
                opinions[entry.pair, entry.mask, tuple(sorted(entry.shown))][entry.by] = entry.choice
    return dict(opinions)


def measure_kappa(opinions: dict[Subject, dict[str, str]]) -> Agreement:
    """Measure Cohen's kappa of the first two people who were asked the same; a third is asked on conflict alone.

    >>> measure_kappa({("c4", 0, ()): {"human:a": "accept", "human:b": "accept", "human:c": "reject"}}).observed
    1.0
    """
    rows: list[tuple[str, Hashable, str, Hashable]] = []
    for said in opinions.values():
        if len(said) >= 2:
            (first, answer), (second, other) = [*said.items()][:2]
            rows.append((first, answer, second, other))
    return compute_mean_kappa(rows)


def measure_corrections(pairs: Sequence[PairEvidence]) -> CorrectionAgreement:
    """Measure how far people's corrections of the same pair agree. Who is compared is drawn by the pair's key."""
    corrected = [(pair.pair.key, masks) for pair in pairs if len(masks := _list_corrections(pair)) >= 2]
    if not corrected:
        return CorrectionAgreement(0)
    shares, random, oracle = [], [], []
    for key, masks in corrected:
        ordered = sorted(masks, key=lambda person: blake2b(f"{key}\0{person}".encode()).digest())
        first, *others = (masks[person] for person in ordered)
        outcomes = [match_instances(compute_ious(first, other)) for other in others]
        random.append(outcomes[0])
        oracle.append(choose_best_outcome(outcomes))
        everybody = [first, *others]
        shares += [compute_instance_f1(a, b) for place, a in enumerate(everybody) for b in everybody[:place]]
    return CorrectionAgreement(
        len(corrected),
        float(np.mean(shares)),
        _score_outcomes(random),
        _score_outcomes(oracle),
    )


def _score_outcomes(outcomes: Sequence[PairOutcome]) -> dict[str, float]:
    values = OutcomePool(outcomes).compute_headline(np.ones(len(outcomes), np.int64))
    return select_defined(values, sum(outcome.targets > 0 for outcome in outcomes), len(outcomes))


def _list_corrections(pair: PairEvidence) -> dict[str, tuple[RleMask, ...]]:
    """Return the masks of each person's latest correction; those with groups, or not exhaustive, are left out."""
    latest = {entry.by: entry for entry in pair.by_people if isinstance(entry, Correction)}
    return {by: entry.masks for by, entry in latest.items() if entry.exhaustive and not any(entry.groups)}
