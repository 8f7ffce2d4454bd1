"""The exact bound of a share: how low it may be, after so many right ones out of so many."""

from functools import cache
from math import exp, lgamma, log, log1p

CONFIDENCE = 0.95
"""One-sided: of 20 bounds, 19 lie below the truth."""
HALVINGS = 50
"""Of the interval [0, 1], by which a bound is exact to 1e-15."""


@cache
def compute_lower_bound(right: int, number: int, confidence: float = CONFIDENCE) -> float:
    """Compute the lower bound of a share by Clopper and Pearson (1934), one-sided.

    It is the share at which `right` or more out of `number` would be seen with a chance of 1 - confidence: exact for
    any number, where the normal approximation is far too hopeful for shares near 1.

    Args:
        right: How many were right, from 0 to `number`.
        number: How many were looked at, drawn at random.
        confidence: In (0, 1).

    Returns:
        The bound, in [0, 1); 0 where none was right.

    Raises:
        ValueError: `right` lies outside 0 to `number`, or the confidence outside (0, 1).

    >>> round(compute_lower_bound(99, 99), 4), round(compute_lower_bound(98, 99), 4)
    (0.9702, 0.953)
    """
    if not 0 <= right <= number:
        raise ValueError(f"{right} right ones out of {number}; expected 0 to {number}")
    if not 0 < confidence < 1:
        raise ValueError(f"`confidence` must lie in (0, 1), got {confidence}")
    if right == 0:
        return 0.0
    low, high = 0.0, 1.0
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        if _add_upper_tail(right, number, middle) < 1 - confidence:
            low = middle
        else:
            high = middle
    return low


def count_needed(quality: float, confidence: float = CONFIDENCE) -> int:
    """Count how many right ones without a wrong one reach a bound: no smaller sample can.

    >>> count_needed(0.97)
    99
    """
    return next(number for number in range(1, 10**7) if number * log(quality) <= log(1 - confidence))


def _add_upper_tail(right: int, number: int, share: float) -> float:
    """Return the chance of `right` or more out of `number` at this share, in (0, 1). The shorter tail is added up."""
    wrong = range(number - right + 1)
    return min(1.0, sum(exp(_log_chance(number - count, number, share)) for count in wrong))


def _log_chance(right: int, number: int, share: float) -> float:
    ways = lgamma(number + 1) - lgamma(right + 1) - lgamma(number - right + 1)
    return ways + (right * log(share) if right else 0.0) + ((number - right) * log1p(-share) if right < number else 0.0)
