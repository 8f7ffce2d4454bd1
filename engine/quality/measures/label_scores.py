"""cgF1, pmF1 and IL_MCC of labels that no person has made, against those of people, on pairs drawn at random."""

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import numpy as np

from engine.proposing import get_recipe
from engine.quality.measures.evidence import EngineEvidence
from evals.bootstrap import Interval, compute_interval
from evals.metrics.cgf1 import OutcomePool, match_instances
from sam3_tool.masks.rle import RleMask, compute_ious

LEAST_PAIRS = 200
"""Pairs drawn at random that people must have finished; with fewer, a number would say next to nothing."""
NUMBERS = ("cgF1", "pmF1", "IL_MCC")
Subject = Literal["proposals", "models"]


@dataclass(frozen=True)
class LabelPair:
    """What a machine says of a pair, what people say, and how many pairs it stands for."""

    image: str
    """Key of the image."""
    predicted: tuple[RleMask, ...]
    targets: tuple[RleMask, ...]
    weight: float = 1.0


@dataclass(frozen=True)
class LabelScore:
    """How good labels are, with 95 % bootstrap intervals over images.

    >>> LabelScore("models", 0, 0, "12 of 200", {}, {}).values
    {}
    """

    subject: str
    """"proposals": SAM 3's masks as they are offered; "models": what models alone would export."""
    pairs: int
    """Drawn at random and finished by people."""
    images: int
    missing: str
    """What must be done before there are all numbers; "" where there are."""
    values: dict[str, float]
    """cgF1 and pmF1 in percent, IL_MCC in [-1, 1]; those that mean something."""
    intervals: dict[str, Interval]


def compute_label_scores(pairs: Sequence[LabelPair]) -> dict[str, float]:
    """Compute the three numbers; where all weights are the same, to the bit what SA-Co's evaluator gives.

    Args:
        pairs: At least one.

    Returns:
        cgF1 and pmF1 in percent, IL_MCC in [-1, 1].

    >>> from sam3_tool.masks.rle import encode_mask
    >>> mask = encode_mask(np.eye(8, dtype=bool))
    >>> round(compute_label_scores([LabelPair("a", (mask,), (mask,)), LabelPair("b", (), ())])["IL_MCC"], 4)
    1.0
    """
    return _build_pool(pairs).compute_headline(_scale_weights(pairs))


def select_defined(values: dict[str, float], positives: int, pairs: int) -> dict[str, float]:
    """Select the numbers that mean something: SA-Co's evaluator gives 0 to the others.

    Args:
        values: cgF1, pmF1 and IL_MCC.
        positives: Pairs of which people say that something is there.
        pairs: All of them.

    >>> values = {"cgF1": 0.0, "pmF1": 80.0, "IL_MCC": 0.0}
    >>> select_defined(values, 3, 3), select_defined(values, 0, 3)
    ({'pmF1': 80.0}, {})
    """
    if not positives:
        return {}
    return values if positives < pairs else {"pmF1": values["pmF1"]}


def compute_label_intervals(pairs: Sequence[LabelPair]) -> dict[str, Interval]:
    """Compute the 95 % interval of each number when images are drawn anew, with all of their pairs."""
    pool, weights = _build_pool(pairs), _scale_weights(pairs)

    def build_measure(name: str) -> Callable[[Sequence[int]], float]:
        return lambda drawn: pool.compute_headline(weights * np.bincount(drawn, minlength=len(pairs)))[name]

    return {name: compute_interval([pair.image for pair in pairs], build_measure(name)) for name in NUMBERS}


def _build_pool(pairs: Sequence[LabelPair]) -> OutcomePool:
    return OutcomePool([match_instances(compute_ious(pair.predicted, pair.targets)) for pair in pairs])


def _scale_weights(pairs: Sequence[LabelPair]) -> np.ndarray:
    """Return float64, (pairs,), 1 on average, so that the constants in the metric's denominators keep their size."""
    weights = np.array([pair.weight for pair in pairs], np.float64)
    # a mean of equal weights is not always that weight to the bit
    return np.ones(len(pairs)) if (weights == weights[0]).all() else weights / weights.mean()


def select_pairs(evidence: EngineEvidence, subject: Subject) -> list[LabelPair]:
    """Select the pairs that were drawn at random and that people have finished.

    People look at random at a tenth of what they finish themselves, and at a fiftieth of what models finish. So each
    pair weighs as many as it stands for: of each stratum, all pairs are counted.
    """
    random = [pair for pair in evidence.pairs if pair.is_random and pair.is_answered_for]
    judged = Counter(pair.stratum for pair in random)
    chosen = []
    for pair in random:
        targets = pair.final_masks
        predicted = pair.proposal.masks if subject == "proposals" else pair.automatic_masks
        if targets is not None and predicted is not None:
            weight = evidence.population[pair.stratum] / judged[pair.stratum]
            chosen.append(LabelPair(pair.pair.image, predicted, targets, weight))
    return chosen


def score_labels(evidence: EngineEvidence, subject: Subject, *, least: int = LEAST_PAIRS) -> LabelScore:
    """Score labels that no person has made, or say what is missing.

    Args:
        evidence: What people have said.
        subject: Whose labels.
        least: Pairs that are needed; fewer where the project has no more that are drawn at random.
    """
    pairs = select_pairs(evidence, subject)
    images = len({pair.image for pair in pairs})
    missing = _describe_missing(evidence, subject, len(pairs), images, least)
    if missing:
        return LabelScore(subject, len(pairs), images, missing, {}, {})
    values = _score_defined(pairs)
    intervals = {name: interval for name, interval in compute_label_intervals(pairs).items() if name in values}
    return LabelScore(subject, len(pairs), images, _describe_undefined(values, len(pairs)), values, intervals)


def _score_defined(pairs: Sequence[LabelPair]) -> dict[str, float]:
    return select_defined(compute_label_scores(pairs), sum(bool(pair.targets) for pair in pairs), len(pairs))


def _describe_undefined(values: dict[str, float], count: int) -> str:
    if not values:
        return f"people found nothing in all {count:,} random pairs; review pairs in which something is there"
    return "" if "cgF1" in values else f"people found masks in all {count:,} random pairs; cgF1 needs negatives too"


def _describe_missing(evidence: EngineEvidence, subject: Subject, count: int, images: int, least: int) -> str:
    if subject == "models" and not evidence.population["models"]:
        return "models finish no pair by themselves; set thresholds with: sam3-agent engine fit"
    if subject == "proposals":
        unusable = sum(pair.is_random and pair.is_answered_for and pair.final_masks is None for pair in evidence.pairs)
        needed = min(least, max(2, evidence.lottery - unusable))
        what, how = "random pairs are finished", "review"
    else:
        needed = min(least, max(2, evidence.population["models"]))
        what, how = "random pairs that models would finish are finished", "review or audit"
    if count < needed:
        return f"{count:,} of {needed:,} {what} by people; {how} {needed - count:,} more"
    return "" if images > 1 else "all of them are of one image; review pairs of another one"


@dataclass(frozen=True)
class DriftRow:
    """The masks of SAM 3 in one week, or by one set of weights."""

    kind: Literal["week", "weights"]
    name: str
    """Such as 2026-W07, of the day on which people finished (UTC); or the recipe of the proposals."""
    pairs: int
    values: dict[str, float]
    """As `LabelScore.values`."""


def measure_drift(evidence: EngineEvidence) -> list[DriftRow]:
    """Score what SAM 3 proposed by week and by weights, on the pairs drawn at random.

    Returns:
        Weeks in their order, then weights in the order in which they came.
    """
    groups: dict[tuple[Literal["week", "weights"], str], list[LabelPair]] = defaultdict(list)
    for judged in evidence.pairs:
        if judged.is_random and judged.final_masks is not None:
            pair = LabelPair(judged.pair.image, judged.proposal.masks, judged.final_masks)
            groups["week", name_week(judged.finished_at)].append(pair)
            groups["weights", get_recipe(judged.proposal.made_by)].append(pair)
    rows = [DriftRow(kind, name, len(own), _score_defined(own)) for (kind, name), own in groups.items()]
    return sorted(rows, key=lambda row: (row.kind, row.name if row.kind == "week" else ""))


def name_week(at: float) -> str:
    """Name the week of a moment, as ISO 8601 counts them, in UTC.

    >>> name_week(0.0)
    '1970-W01'
    """
    year, week, _ = datetime.fromtimestamp(at, UTC).isocalendar()
    return f"{year}-W{week:02}"


def to_score_json(score: LabelScore) -> dict[str, Any]:
    """Convert to JSON values: numbers are null where something is missing."""
    numbers = {
        name: {"value": score.values[name], **asdict(score.intervals[name])} if name in score.values else None
        for name in NUMBERS
    }
    return {"pairs": score.pairs, "images": score.images, "missing": score.missing, **numbers}
