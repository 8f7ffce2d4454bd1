"""Which of several measures stands out: pure functions of numbers."""

from collections.abc import Sequence
from statistics import median

STANDS_OUT = 1.5
"""The least ratio of the odd one to the median of the others, either way …"""
ALIKE = 1.25
"""… all of which are within this ratio of that median."""


def find_outlier(sizes: Sequence[float]) -> int | None:
    """Find the only one that differs clearly from all others, which are alike.

    Args:
        sizes: Positive, e.g. areas in pixels.

    Returns:
        Its index; None where there are fewer than three, where two could be meant, or where all are alike.

    >>> find_outlier([100, 104, 30, 98]), find_outlier([100, 104, 98]), find_outlier([100, 50, 10])
    (2, None, None)
    """
    found = [index for index in range(len(sizes)) if _is_odd(sizes, index)] if len(sizes) > 2 else []
    return found[0] if len(found) == 1 else None


def _is_odd(sizes: Sequence[float], index: int) -> bool:
    others = [size for other, size in enumerate(sizes) if other != index]
    middle = median(others)
    alike = all(_compute_ratio(size, middle) <= ALIKE for size in others)
    return alike and _compute_ratio(sizes[index], middle) >= STANDS_OUT


def _compute_ratio(first: float, second: float) -> float:
    least, most = sorted((first, second))
    return most / least if least > 0 else float("inf")
