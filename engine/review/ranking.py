"""When each pair is shown: the riskiest per second of a person first, varied, and a tenth at random."""

from collections.abc import Iterator, Sequence

from engine.quality.ordering import RANDOM_SHARE, Candidate, draw_batch
from engine.quality.ranking import estimate_risks
from engine.review.desk import Priority, Ranking, rank_randomly
from engine.review.team.estimate import USUAL_SECONDS
from engine.states import PairSummary, StatePolicy
from engine.store.store import EngineStore

FIRST_BATCH, LARGEST_BATCH = 200, 2000
"""Pairs that are drawn together: a few at first, more where nobody will be for days."""
NO_POLICY = StatePolicy()


def build_ranking(store: EngineStore, policy: StatePolicy = NO_POLICY) -> Ranking:
    """Build the ranking of a project from what models have said so far.

    Args:
        store: The project.
        policy: What judgements are worth: what models have decided is not drawn.

    Returns:
        The ranking. A pair that no model has judged is shown in random order, as all are without a model.

    Raises:
        EngineError: The log cannot be read.
    """
    risks = estimate_risks(store)
    if not risks:
        return rank_randomly
    summaries = (one for one in store.iterate_summaries(policy) if one.pair.key in risks and one.decision.needs)
    ranked = rank_candidates([to_candidate(one, risks[one.pair.key]) for one in summaries])
    return lambda pair: ranked.get(pair) or rank_randomly(pair)


def to_candidate(summary: PairSummary, risk: float) -> Candidate:
    """Return what decides when a pair is shown: among it the seconds that people will take for all of its items."""
    masks = len(summary.decision.open_masks) * USUAL_SECONDS["mv"]
    stage = "correct" if summary.decision.needs == "correct" else "ev"
    pair, group = summary.pair, summary.group
    # an image without near-duplicates stands for itself: its pairs are alike as those of a group are
    return Candidate(pair.key, risk, masks + USUAL_SECONDS[stage], pair.phrase, group or pair.image)


def rank_candidates(candidates: Sequence[Candidate]) -> dict[str, Priority]:
    """Rank pairs: a tenth of them by lot, the others by drawing one batch after the other.

    Whether a pair belongs to the tenth depends on its key alone, so that those pairs are a sample of all, always.

    Args:
        candidates: All that people may be asked about.

    Returns:
        Key -> its priority in (0, 1), with the way and the weight of its draw.
    """
    lots = {one.key: rank_randomly(one.key).value for one in candidates}
    chosen = {key: lot / RANDOM_SHARE for key, lot in lots.items() if lot < RANDOM_SHARE}
    drawn = list(_draw_keys([one for one in candidates if one.key not in chosen]))
    ranked = {key: Priority(1 - (place + 0.5) / len(drawn), "risk") for place, key in enumerate(drawn)}
    return ranked | {key: Priority(lot, "random", 1 / RANDOM_SHARE) for key, lot in chosen.items()}


def _draw_keys(candidates: Sequence[Candidate]) -> Iterator[str]:
    """Yield the riskiest per second first, with no more than a few of a phrase or group in each batch."""
    rest, size = list(candidates), FIRST_BATCH
    while rest:
        keys = [draw.key for draw in draw_batch(rest, size, seed=0, random_share=0.0)]
        yield from keys
        drawn = set(keys)
        rest = [one for one in rest if one.key not in drawn]
        size = min(2 * size, LARGEST_BATCH)
