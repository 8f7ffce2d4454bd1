"""Thresholds beyond which labels need no person; their precision is bounded on a random sample that people labelled.

The bound holds for the threshold that is chosen, although many are tried: they are tried in an order that is fixed
beforehand, from the surest items on, and the first that fails ends it (fixed sequence testing, as
Angelopoulos et al. 2021, "Learn then Test", use it). The loosest of all that pass would keep its promise less often.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from engine.quality.binomial import CONFIDENCE, compute_lower_bound, count_needed

QUALITY = 0.97
"""Precision that labels without a person must reach, by their lower bound."""
LEAST_DOMAIN_LABELS = 200
"""With fewer labels by people, everything of a domain goes to people."""
STEPS = 10
"""Thresholds that are tried, from the first to that which takes all of the sample."""


@dataclass(frozen=True)
class SampledItem:
    """An item of a random sample that people have labelled, with what the verifier said before.

    >>> SampledItem(0.93, True).domain
    ''
    """

    probability: float
    """In [0, 1]: the verifier's, of "right", by a fit that has not seen this item."""
    is_right: bool
    """What people say."""
    domain: str = ""


@dataclass(frozen=True)
class ThresholdChoice:
    """A threshold, and what it rests on.

    >>> ThresholdChoice(None, 0, 0, 0.0).threshold is None
    True
    """

    threshold: float | None
    """None where no threshold reaches the quality."""
    taken: int
    """Items of the sample on its sure side."""
    right: int
    """Those of them that people say the same of."""
    bound: float
    """Lower 95 % bound of the precision, in [0, 1)."""


def choose_accept_threshold(
    sample: Sequence[SampledItem], *, quality: float = QUALITY, missed: float = 0.0, confidence: float = CONFIDENCE
) -> ThresholdChoice:
    """Choose from which probability on "right" needs no person.

    Args:
        sample: Drawn at random. Items that were drawn because they are risky must not be among them: they understate
            the precision, and a threshold that rests on them is of no use.
        quality: In (0, 1): the lower bound of the precision reaches it.
        missed: In [0, 1): the share of wrong items that people let pass. The errors that they find are taken for so
            many fewer than there are.
        confidence: In (0, 1), one-sided.

    Returns:
        The loosest threshold that was reached.

    >>> sure, unsure = [SampledItem(0.9, True)] * 160, [SampledItem(0.4, True), SampledItem(0.3, False)] * 20
    >>> choice = choose_accept_threshold([*sure, *unsure])
    >>> choice.threshold, choice.taken, round(choice.bound, 3)
    (0.4, 180, 0.983)
    """
    return _test_in_order(
        [item.probability for item in sample],
        [item.is_right for item in sample],
        quality=1 - (1 - quality) * (1 - missed),
        confidence=confidence,
    )


def choose_reject_threshold(
    sample: Sequence[SampledItem], *, quality: float = QUALITY, confidence: float = CONFIDENCE
) -> ThresholdChoice:
    """Choose up to which probability "wrong" needs no person.

    Args:
        sample: Drawn at random, as for `choose_accept_threshold`.
        quality: In (0, 1): of the rejected ones, that share is wrong at least.
        confidence: In (0, 1), one-sided.

    Returns:
        The loosest threshold that was reached; wrong items are rare, so that a small sample often gives none.

    >>> choose_reject_threshold([SampledItem(0.25, False)] * 160 + [SampledItem(0.9, True)] * 100).threshold
    0.25
    """
    chosen = _test_in_order(
        [1 - item.probability for item in sample],
        [not item.is_right for item in sample],
        quality=quality,
        confidence=confidence,
    )
    threshold = None if chosen.threshold is None else 1 - chosen.threshold
    return ThresholdChoice(threshold, chosen.taken, chosen.right, chosen.bound)


def find_open_domains(sample: Sequence[SampledItem], *, least: int = LEAST_DOMAIN_LABELS) -> frozenset[str]:
    """Find the domains with labels enough that a model may decide there.

    >>> sorted(find_open_domains([SampledItem(0.9, True, "kitchen")] * 200 + [SampledItem(0.9, True, "sea")] * 199))
    ['kitchen']
    """
    domains = [item.domain for item in sample]
    return frozenset(domain for domain in {*domains} if domains.count(domain) >= least)


def _test_in_order(
    estimates: Sequence[float], is_right: Sequence[bool], *, quality: float, confidence: float
) -> ThresholdChoice:
    """`estimates`: of what is claimed, "right" or "wrong"; `is_right`: whether the claim holds."""
    values, right = np.asarray(estimates, np.float64), np.asarray(is_right, bool)
    chosen = ThresholdChoice(None, 0, 0, 0.0)
    for threshold in _list_thresholds(values, quality, confidence):
        inside = values >= threshold
        taken, correct = int(inside.sum()), int(right[inside].sum())
        bound = compute_lower_bound(correct, taken, confidence)
        if bound < quality:
            break
        chosen = ThresholdChoice(float(threshold), taken, correct, bound)
    return chosen


def _list_thresholds(values: np.ndarray, quality: float, confidence: float) -> list[float]:
    """List thresholds from the surest on; which ones depends on the verifier's estimates, and on no label.

    The first takes as many items as the verifier itself expects to be right with half of the errors that are allowed.
    From fewer, where a single slip already fails, every looser threshold would have to wait for a small one to pass: on
    simulated projects that left 8 of 20 samples without any threshold, and this leaves none.
    """
    needed = count_needed(quality, confidence)
    falling = -np.sort(-values)
    expected = np.cumsum(falling) / np.arange(1, len(values) + 1)
    safe = np.flatnonzero(expected >= (1 + quality) / 2)
    first = max(needed, int(safe[-1]) + 1 if len(safe) else 0)
    if first > len(values):
        return []
    places = np.unique(np.linspace(first, len(values), STEPS).round().astype(int)) - 1
    return list(dict.fromkeys(map(float, falling[places])))
