"""Errors that are alike when the same is asked again: normal draws that share a part."""

from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from math import sqrt
from statistics import NormalDist

NORMAL = NormalDist()
RESOLUTION = 2**53
"""Steps into which (0, 1) is cut."""


@dataclass(frozen=True)
class CorrelatedChance:
    """Draw standard normal numbers from what is asked: nothing is remembered, and equal questions have equal draws.

    A draw is sqrt(c) * a + sqrt(1 - c) * b, where a follows from the subject alone (a sample and one of its masks, say)
    and b from the way of asking too. So two ways of asking about one subject have draws with the correlation c.

    Raises:
        ValueError: The correlation is not in [0, 1].

    Example:
        >>> chance = CorrelatedChance(seed=0, correlation=1.0)
        >>> chance.draw_normal("scene 1, mask 2", "small") == chance.draw_normal("scene 1, mask 2", "enlarged")
        True
    """

    seed: int
    correlation: float
    """In [0, 1]; at 1, asking again never helps."""

    def __post_init__(self) -> None:
        if not 0 <= self.correlation <= 1:
            raise ValueError(f"`correlation` must be in [0, 1], got {self.correlation}")

    def draw_normal(self, subject: str, asking: str) -> float:
        """Draw for a subject and a way of asking about it."""
        shared = hash_to_normal(f"{self.seed}|{subject}")
        own = hash_to_normal(f"{self.seed}|{subject}|{asking}")
        return sqrt(self.correlation) * shared + sqrt(1 - self.correlation) * own

    def has_lapse(self, threshold: float, subject: str, asking: str) -> bool:
        """Whether an error happens whose rate is the normal probability below `threshold`."""
        return self.draw_normal(subject, asking) < threshold


def hash_to_share(text: str) -> float:
    """Turn a text into a number strictly between 0 and 1, evenly spread."""
    number = int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big") % RESOLUTION
    return (number + 0.5) / RESOLUTION


@lru_cache(maxsize=2**16)
def hash_to_normal(text: str) -> float:
    """Turn a text into a standard normal number."""
    return NORMAL.inv_cdf(hash_to_share(text))
