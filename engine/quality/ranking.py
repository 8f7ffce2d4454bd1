"""How likely the label of each pair is wrong, by what models have said in the log: what people see first."""

from collections import defaultdict
from collections.abc import Iterable

from engine.pairs import Entry, Judgement
from engine.quality.ordering import compute_pair_risk
from engine.store.store import EngineStore


def estimate_risks(store: EngineStore) -> dict[str, float]:
    """Estimate the risk of every pair that a model has judged, by the latest judgement of each thing.

    Args:
        store: The data engine.

    Returns:
        Key of the pair -> in [0, 1]. Coverage that nobody has judged yet adds no risk.

    Raises:
        EngineError: The log cannot be read.
    """
    return combine_risks(record.entry for record in store.entries())


def combine_risks(entries: Iterable[Entry]) -> dict[str, float]:
    """Combine what models have said into the risk of every pair that they have judged; see `estimate_risks`.

    >>> by = {"pair": "c4", "choice": "accept", "by": "model:signals@12", "at": 0.0, "drawn": "auto"}
    >>> combine_risks([Judgement(**by, stage="mv", mask=0, probability=0.75)])
    {'c4': 0.25}
    """
    coverage: dict[str, float] = {}
    masks: dict[str, dict[int, float]] = defaultdict(dict)
    for entry in entries:
        if not isinstance(entry, Judgement) or entry.is_human or entry.probability is None:
            continue
        if entry.mask is None:
            coverage[entry.pair] = entry.probability
        else:
            masks[entry.pair][entry.mask] = entry.probability
    # the probability of coverage is that of the whole pair, masks included
    alone = {pair: compute_pair_risk(1.0, [*own.values()]) for pair, own in masks.items()}
    return alone | {pair: 1 - chance for pair, chance in coverage.items()}
