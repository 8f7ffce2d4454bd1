"""When each pair is shown: the riskiest first, and a tenth at random, at places that tell nobody which they are."""

from engine.quality.ordering import RANDOM_SHARE
from engine.quality.ranking import estimate_risks
from engine.review.desk import Priority, Ranking, rank_randomly
from engine.store.store import EngineStore


def build_ranking(store: EngineStore) -> Ranking:
    """Build the ranking of a project from what models have said so far.

    Args:
        store: The project.

    Returns:
        The ranking. A pair that no model has judged is shown in random order, as all are without a model.

    Raises:
        EngineError: The log cannot be read.
    """
    risks = estimate_risks(store)

    def rank_pair(pair: str) -> Priority:
        lot = rank_randomly(pair)
        if pair not in risks:
            return lot
        if lot.value < RANDOM_SHARE:
            return Priority(lot.value / RANDOM_SHARE, "random", 1 / RANDOM_SHARE)
        return Priority(risks[pair], "risk")

    return rank_pair
