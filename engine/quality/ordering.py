"""What people see first: the most expected errors per second, varied, and a tenth at random."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import Literal

import numpy as np

RANDOM_SHARE = 0.1
"""Of each batch: without it no quality can be estimated, for the risky ones say little of the others."""
MOST_ALIKE = 4
"""Items of one phrase, or of one group of near-duplicates, in a batch."""


@dataclass(frozen=True)
class Candidate:
    """An item that a person may be asked about.

    >>> Candidate("c4", risk=0.3, seconds=6.0, phrase="cup").group
    ''
    """

    key: str
    """Of the pair."""
    risk: float
    """In [0, 1]: the chance that its label is wrong."""
    seconds: float
    """Above 0: what a person will take."""
    phrase: str
    group: str = ""
    """Of near-duplicates; "" for an image that is alone."""


@dataclass(frozen=True)
class Draw:
    """An item that was chosen, and how: what `Judgement.drawn` and `weight` hold.

    >>> Draw("c4", "risk", 1.0).weight
    1.0
    """

    key: str
    drawn: Literal["risk", "random"]
    weight: float
    """Inverse of the chance with which it was drawn; a fit that ignored it would take the risky ones for typical."""


def compute_pair_risk(coverage: float, masks: Sequence[float]) -> float:
    """Compute the chance that a pair's label is wrong: that a mask is, or that one is missing.

    Args:
        coverage: In [0, 1]: the chance that the masks cover everything.
        masks: In [0, 1]: the chance of each mask to be right.

    Returns:
        In [0, 1]; slips are taken to be independent.

    >>> round(compute_pair_risk(0.9, [0.8, 0.5]), 2), compute_pair_risk(1.0, [])
    (0.64, 0.0)
    """
    return float(1 - coverage * np.prod(np.asarray(masks, np.float64)))


def order_by_risk(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Order by expected errors per second, the most first. Ties keep their order.

    >>> slow, quick = Candidate("a", 0.5, 60.0, "cup"), Candidate("b", 0.25, 6.0, "cup")
    >>> [candidate.key for candidate in order_by_risk([slow, quick])]
    ['b', 'a']
    """
    return sorted(candidates, key=lambda candidate: -candidate.risk / candidate.seconds)


def draw_batch(
    candidates: Sequence[Candidate],
    size: int,
    *,
    seed: int,
    random_share: float = RANDOM_SHARE,
    most_alike: int = MOST_ALIKE,
) -> list[Draw]:
    """Draw the next items for people.

    The random ones are drawn first, out of all, so that they are a sample of all. The others are the riskiest of the
    rest, no more than a few of one phrase or one group; where too few are left that differ, the riskiest fill up.

    Args:
        candidates: All that nobody has decided.
        size: Items of the batch; fewer where there are fewer candidates.
        seed: The same seed draws the same items.
        random_share: In [0, 1], of the batch, rounded up.
        most_alike: Items of one phrase, or of one group.

    Returns:
        The riskiest first, and the random ones among them, at places that tell nobody which they are.

    >>> candidates = [Candidate(f"{number}", number / 100, 6.0, f"phrase {number}") for number in range(100)]
    >>> drawn = draw_batch(candidates, 10, seed=0)
    >>> [draw.key for draw in drawn if draw.drawn == "risk"][:3]
    ['99', '98', '97']
    >>> [draw.weight for draw in drawn if draw.drawn == "random"]
    [100.0]
    """
    rng = np.random.default_rng(seed)
    size = min(size, len(candidates))
    picked = rng.choice(len(candidates), ceil(random_share * size), replace=False) if size else np.zeros(0, int)
    lottery = {int(place) for place in picked}
    ordered = order_by_risk(candidates)
    would_come = {candidate.key for candidate in _pick_varied(ordered, size - len(lottery), most_alike)}
    rest = order_by_risk([candidate for place, candidate in enumerate(candidates) if place not in lottery])
    risky = _pick_varied(rest, size - len(lottery), most_alike)
    draws = [Draw(candidate.key, "risk", 1.0) for candidate in risky]
    for place in sorted(lottery):
        key = candidates[place].key
        # what its risk alone would have brought was sure to come
        weight = 1.0 if key in would_come else len(candidates) / len(lottery)
        draws.insert(int(rng.integers(len(draws) + 1)), Draw(key, "random", weight))
    return draws


def _pick_varied(ordered: Sequence[Candidate], size: int, most_alike: int) -> list[Candidate]:
    """Return so many of the first, with no more than a few of one phrase or group while others are left."""
    phrases, groups = Counter[str](), Counter[str]()
    picked: list[Candidate] = []
    passed: list[Candidate] = []
    for candidate in ordered:
        if len(picked) == size:
            break
        is_alike = phrases[candidate.phrase] >= most_alike
        if is_alike or (candidate.group and groups[candidate.group] >= most_alike):
            passed.append(candidate)
            continue
        phrases[candidate.phrase] += 1
        groups[candidate.group] += 1
        picked.append(candidate)
    return picked + passed[: size - len(picked)]
