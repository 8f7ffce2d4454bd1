"""Bootstrap intervals, drawn over pictures."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

DRAWS = 1000
LEVEL = 0.95

Measure = Callable[[Sequence[int]], float]
"""Indices of samples, which may repeat -> a number."""


@dataclass(frozen=True)
class Interval:
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.low:.1f} to {self.high:.1f}"


def interval(groups: Sequence[str], measure: Measure, *, draws: int = DRAWS, seed: int = 0) -> Interval:
    """The 95 % percentile interval of `measure` when pictures are drawn anew, with replacement (cluster bootstrap).

    `groups`: the picture of each sample; `measure`: indices of samples, which may repeat -> a number. The samples of a
    picture are drawn together, because they are not independent. The same seed gives the same interval.

    >>> hits = np.array([0.0, 1.0, 1.0, 0.0])
    >>> interval(["a", "a", "b", "b"], lambda chosen: hits[chosen].mean())
    Interval(low=0.5, high=0.5)
    """
    members = _members(groups)
    rng = np.random.default_rng(seed)
    drawn = (rng.integers(len(members), size=len(members)) for _ in range(draws))
    values = [measure(np.concatenate([members[picture] for picture in chosen]).tolist()) for chosen in drawn]
    low, high = np.nanquantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(float(low), float(high))


def _members(groups: Sequence[str]) -> list[np.ndarray]:
    """Of each picture, the indices of its samples. Raises ValueError for no sample at all."""
    if not groups:
        raise ValueError("there is no sample to draw from")
    where: dict[str, list[int]] = {}
    for index, group in enumerate(groups):
        where.setdefault(group, []).append(index)
    return [np.array(indices) for indices in where.values()]
