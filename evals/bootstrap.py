"""Bootstrap intervals, drawn over images."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import nan

import numpy as np

DEFAULT_DRAWS = 1000
CONFIDENCE_LEVEL = 0.95

Measure = Callable[[Sequence[int]], float]
"""Indices of samples, which may repeat -> a number."""


@dataclass(frozen=True)
class Interval:
    """Hold the two ends of a 95 % interval of a number.

    Example:
        >>> str(Interval(41.23, 44.98))
        '41.2 to 45.0'
    """

    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.low:.1f} to {self.high:.1f}"


def compute_interval(groups: Sequence[str], measure: Measure, *, draws: int = DEFAULT_DRAWS, seed: int = 0) -> Interval:
    """The 95 % percentile interval of `measure` when images are drawn anew, with replacement (cluster bootstrap).

    `groups`: the image of each sample; `measure`: indices of samples, which may repeat -> a number. The samples of an
    image are drawn together, because they are not independent. The same seed gives the same interval.

    >>> hits = np.array([0.0, 1.0, 1.0, 0.0])
    >>> compute_interval(["a", "a", "b", "b"], lambda chosen: hits[chosen].mean())
    Interval(low=0.5, high=0.5)
    """
    members = _GroupMembers.from_groups(groups)
    rng = np.random.default_rng(seed)
    drawn = (rng.integers(len(members.first), size=len(members.first)) for _ in range(draws))
    values = np.array([measure(members.pick_samples(images).tolist()) for images in drawn], float)
    if np.isnan(values).all():
        return Interval(nan, nan)
    low, high = np.nanquantile(values, [(1 - CONFIDENCE_LEVEL) / 2, (1 + CONFIDENCE_LEVEL) / 2])
    return Interval(float(low), float(high))


@dataclass(frozen=True, eq=False)
class _GroupMembers:
    """Which samples belong to each image."""

    samples: np.ndarray
    """int64, (N,): indices of the samples, those of one image next to each other."""
    first: np.ndarray
    """int64, (P,): where in `samples` those of each image begin."""
    count: np.ndarray
    """int64, (P,)."""

    @classmethod
    def from_groups(cls, groups: Sequence[str]) -> "_GroupMembers":
        """Raises ValueError for no sample at all."""
        if not groups:
            raise ValueError("there is no sample to draw from")
        numbers = {group: number for number, group in enumerate(dict.fromkeys(groups))}
        image = np.array([numbers[group] for group in groups])
        count = np.bincount(image)
        return cls(np.argsort(image, kind="stable"), np.cumsum(count) - count, count)

    def pick_samples(self, images: np.ndarray) -> np.ndarray:
        """int64: all samples of these images, which may repeat, in order."""
        count = self.count[images]
        begin = np.cumsum(count) - count
        place = np.arange(count.sum()) - np.repeat(begin, count)
        picked: np.ndarray = self.samples[np.repeat(self.first[images], count) + place]
        return picked
