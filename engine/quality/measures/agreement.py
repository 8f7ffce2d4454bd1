"""How far people agree: Cohen's kappa of their choices, and the F1 of instances between two corrections."""

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from evals.metrics.cgf1 import match_instances
from sam3_tool.masks.rle import RleMask, compute_ious


@dataclass(frozen=True)
class Agreement:
    """How far two opinions of the same items agree."""

    items: int
    """Items with both opinions."""
    observed: float
    """Share of them with the same choice, in [0, 1]; NaN without items."""
    kappa: float
    """Cohen's kappa, at most 1; NaN without items, and where both always chose the same one thing."""


def compute_kappa(first: Sequence[Hashable], second: Sequence[Hashable]) -> Agreement:
    """Compute Cohen's kappa of two people's choices (Cohen 1960).

    Args:
        first: One person's choices.
        second: The other's, of the same items in the same order.

    Returns:
        The agreement, and the kappa: 1 is perfect, 0 is what chance gives.

    Raises:
        ValueError: They are not as many.

    >>> compute_kappa(["a", "a", "r", "r"], ["a", "r", "r", "r"])
    Agreement(items=4, observed=0.75, kappa=0.5)
    """
    count = len(first)
    if count != len(second):
        raise ValueError(f"agreement needs two choices of each item, got {count} and {len(second)}")
    if not count:
        return Agreement(0, float("nan"), float("nan"))
    observed = sum(a == b for a, b in zip(first, second, strict=True)) / count
    others = Counter(second)
    expected = sum(number * others[choice] for choice, number in Counter(first).items()) / count**2
    return Agreement(count, observed, (observed - expected) / (1 - expected) if expected < 1 else float("nan"))


def compute_mean_kappa(pairs: Sequence[tuple[str, Hashable, str, Hashable]]) -> Agreement:
    """Compute the agreement of a team in which different people look at the same items.

    Args:
        pairs: For each item with two opinions: person, choice, other person, other choice.

    Returns:
        Kappa with the order of the two within each item removed: each pair counts in both directions, so that it does
        not matter who is called the first (Krippendorff's alpha differs from it by its correction for small samples).

    >>> compute_mean_kappa([("anna", "a", "ben", "a"), ("ben", "r", "cleo", "r")]).kappa
    1.0
    """
    first = [choice for _, a, _, b in pairs for choice in (a, b)]
    second = [choice for _, a, _, b in pairs for choice in (b, a)]
    found = compute_kappa(first, second)
    return Agreement(len(pairs), found.observed, found.kappa)


def compute_instance_f1(first: Sequence[RleMask], second: Sequence[RleMask]) -> float:
    """Compute the F1 of instances between two people's masks, averaged over IoU thresholds 0.5 to 0.95.

    Matches are one to one and maximise the sum of the IoUs, as SA-Co's metric does it (arXiv 2511.16719, appendix E).
    Group masks must be left out before.

    Args:
        first: One person's masks.
        second: The other's, of the same image.

    Returns:
        In [0, 1]; 1 where both say that there is nothing, 0 where only one does.

    >>> from sam3_tool.masks.rle import encode_mask
    >>> compute_instance_f1([encode_mask(np.ones((2, 3), bool))], [encode_mask(np.ones((2, 3), bool))])
    1.0
    """
    if not first or not second:
        return float(not first and not second)
    hits = match_instances(compute_ious(first, second)).hits
    return float(np.mean(2 * hits / (len(first) + len(second))))
