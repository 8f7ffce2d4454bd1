"""How much is left for people: opinions, hours with an interval, and money."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, sqrt

from engine.review.queue.tables import Answer

USUAL_SECONDS = {"mv": 3.0, "ev": 6.0, "correct": 60.0}
"""Of an item, until the people here have answered enough."""
ENOUGH_ANSWERS = 20
FAILING_SHARE = 0.3
"""Of the pairs that need correction after EV, until the people here have answered enough."""
NORMAL_QUANTILE = 1.96
"""Of a 95 % interval."""
MAX_SECONDS = 600.0
"""An answer that took longer waited for somebody who was away, and counts as this."""


@dataclass(frozen=True)
class Estimate:
    """What is left."""

    pairs: int
    """Pairs that need a person."""
    items: Mapping[str, float]
    """Stage -> opinions that are missing, with those that today's answers will ask for."""
    hours: float
    low: float
    high: float
    """Of the 95 % interval of `hours`."""
    money: float | None
    """At the wage that was given."""


def estimate_rest(
    pairs: int, missing: Mapping[str, int], waiting: int, answers: Sequence[Answer], wage: float | None
) -> Estimate:
    """Estimate the work that is left, if everything goes on as it went.

    Args:
        pairs: Pairs that need a person.
        missing: Stage -> opinions that are missing now.
        waiting: Pairs that need MV now and will need EV after it.
        answers: So far.
        wage: Money for an hour, or None.

    Returns:
        The estimate. Its interval is of the means of seconds and of the share of failures, not of changes to come.

    >>> estimate_rest(1, {"mv": 1200}, 0, [], None).hours
    1.0
    """
    share, share_error = _estimate_failing([answer.choice != "accept" for answer in answers if answer.stage == "ev"])
    coverage = missing.get("ev", 0) + waiting
    items = {
        "mv": float(missing.get("mv", 0)),
        "ev": float(coverage),
        "correct": missing.get("correct", 0) + share * coverage,
    }
    seconds, variance = 0.0, 0.0
    for stage, count in items.items():
        mean, error = _estimate_seconds([answer.seconds for answer in answers if answer.stage == stage], stage)
        seconds += count * mean
        variance += (count * error) ** 2
        if stage == "correct":
            variance += (mean * coverage * share_error) ** 2
    hours, margin = seconds / 3600, NORMAL_QUANTILE * sqrt(variance) / 3600
    money = None if wage is None else hours * wage
    return Estimate(pairs, items, hours, max(0.0, hours - margin), hours + margin, money)


def format_hours(hours: float) -> str:
    """Say how long something takes, as the page of the review does.

    >>> format_hours(0.51), format_hours(12.34)
    ('31 min', '12.3 h')
    """
    return f"{ceil(60 * hours)} min" if hours < 1 else f"{hours:,.1f} h"


def _estimate_seconds(seconds: Sequence[float], stage: str) -> tuple[float, float]:
    """Return the mean and its standard error: half of the usual value while there are few answers."""
    if len(seconds) < ENOUGH_ANSWERS:
        return USUAL_SECONDS[stage], USUAL_SECONDS[stage] / 2 / NORMAL_QUANTILE
    cut = [min(value, MAX_SECONDS) for value in seconds]
    mean = sum(cut) / len(cut)
    spread = sum((value - mean) ** 2 for value in cut) / (len(cut) - 1)
    return mean, sqrt(spread / len(cut))


def _estimate_failing(failed: Sequence[bool]) -> tuple[float, float]:
    if len(failed) < ENOUGH_ANSWERS:
        return FAILING_SHARE, FAILING_SHARE / 2
    share = sum(failed) / len(failed)
    return share, sqrt(share * (1 - share) / len(failed))
