"""For how many pairs each one stands that people have looked at, though the riskiest were shown first."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import numpy as np

from engine.quality.ranking import estimate_risks
from engine.store.store import EngineStore
from engine.verifiers.labels import LabelledItem

STRATA = 10
"""Groups of like risk, about as many pairs in each."""
UNJUDGED = -1
"""Stratum of the pairs that no model has judged."""


def weigh_by_risk(risks: Mapping[str, float], keys: Sequence[str], seen: Collection[str]) -> dict[str, float]:
    """Weigh the pairs that people have looked at by what they stand for: post-stratification by risk.

    How likely a pair was to be seen depends on its risk, and on how far the queue has come: a risky pair of the random
    tenth would have come anyway, and stands for itself, while a safe one stands for all safe ones. So the chance is
    counted after the fact, as the share of pairs of like risk that were seen (Holt and Smith 1979, "Post
    stratification").

    Args:
        risks: Key of a pair -> in [0, 1]; pairs that no model has judged are absent, and a stratum of their own.
        keys: Of all pairs.
        seen: Keys of those that people have looked at.

    Returns:
        Key of each seen pair -> pairs that it stands for, at least 1.

    >>> risks = {f"{number}": number / 20 for number in range(20)}
    >>> weights = weigh_by_risk(risks, [*risks], {"0", "18", "19"})
    >>> weights["0"], weights["19"]
    (2.0, 1.0)
    """
    known = [key for key in keys if key in risks]
    values = np.array([risks[key] for key in known], np.float64)
    edges = np.quantile(values, np.linspace(0, 1, STRATA + 1)[1:-1]) if known else np.zeros(0)
    places = dict.fromkeys(keys, UNJUDGED) | dict(
        zip(known, np.searchsorted(edges, values, side="right").tolist(), strict=True)
    )
    members: dict[int, list[str]] = defaultdict(list)
    for key, place in places.items():
        members[place].append(key)
    weights: dict[str, float] = {}
    for stratum in members.values():
        own = [key for key in stratum if key in seen]
        weights |= {key: len(stratum) / len(own) for key in own}
    return weights


def weigh_labels(store: EngineStore, labels: Sequence[LabelledItem]) -> list[LabelledItem]:
    """Give labels by people the weights that `weigh_by_risk` counts, 1 on average.

    Args:
        store: The data engine.
        labels: Of one stage.

    Returns:
        The same labels, in the same order.

    Raises:
        EngineError: The store cannot be read.
    """
    if not labels:
        return []
    keys = [pair.key for pair in store.pairs()]
    weights = weigh_by_risk(estimate_risks(store), keys, {label.pair for label in labels})
    mean = sum(weights[label.pair] for label in labels) / len(labels)
    return [replace(label, weight=weights[label.pair] / mean) for label in labels]
