"""When each pair is shown: the riskiest per second of a person first, varied, and a tenth at random."""

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator, Mapping, Sequence

from engine.pairs import LogRecord
from engine.quality.ordering import RANDOM_SHARE, Candidate, draw_batch
from engine.quality.ranking import combine_risks, estimate_risks
from engine.review.desk import Priority, rank_randomly
from engine.review.team.estimate import USUAL_SECONDS
from engine.states import PairSummary, StatePolicy
from engine.store.store import EngineStore

FIRST_BATCH, LARGEST_BATCH = 200, 2000
"""Pairs that are drawn together: a few at first, more where nobody will be for days."""
NO_POLICY = StatePolicy()


class PairRanking:
    """When each pair is shown. A pair that no model has judged comes at random, as all do without a model.

    Args:
        ranked: Key of a pair -> its priority, of all that models have judged.
        rates: For each of them that was not drawn by lot, its expected errors per second of a person.

    >>> ranking = PairRanking({}, [0.01, 0.03])
    >>> ranking.place_pair(Candidate("c4", risk=0.1, seconds=5.0, phrase="cup"))
    >>> ranking("c4")
    Priority(value=0.5, drawn='risk', weight=1.0)
    """

    def __init__(self, ranked: Mapping[str, Priority], rates: Iterable[float]) -> None:
        self._ranked, self._rates = dict(ranked), sorted(rates)

    def __call__(self, pair: str) -> Priority:
        """Return the priority of a pair."""
        return self._ranked.get(pair) or rank_randomly(pair)

    def place_pair(self, candidate: Candidate) -> None:
        """Place a pair that a model has judged since: by lot as any other, or among those of the same risk."""
        lot = rank_randomly(candidate.key).value
        if lot < RANDOM_SHARE:
            self._ranked[candidate.key] = Priority(lot / RANDOM_SHARE, "random", 1 / RANDOM_SHARE)
            return
        rate = candidate.risk / candidate.seconds
        insort(self._rates, rate)
        place = bisect_left(self._rates, rate)
        self._ranked[candidate.key] = Priority((place + 0.5) / len(self._rates), "risk")

    def learn_judgements(self, summary: PairSummary, records: Iterable[LogRecord]) -> None:
        """Place a pair by what the log holds of it now."""
        risk = combine_risks(record.entry for record in records).get(summary.pair.key)
        if risk is not None:
            self.place_pair(to_candidate(summary, risk))


def build_ranking(store: EngineStore, policy: StatePolicy = NO_POLICY) -> PairRanking:
    """Build the ranking of a project from what models have said so far.

    Args:
        store: The project.
        policy: What judgements are worth: what models have decided is not drawn.

    Returns:
        The ranking.

    Raises:
        EngineError: The log cannot be read.
    """
    risks = estimate_risks(store)
    if not risks:
        return PairRanking({}, [])
    summaries = (
        summary for summary in store.iterate_summaries(policy) if summary.pair.key in risks and summary.decision.needs
    )
    candidates = [to_candidate(summary, risks[summary.pair.key]) for summary in summaries]
    ranked = rank_candidates(candidates)
    rates = [candidate.risk / candidate.seconds for candidate in candidates if ranked[candidate.key].drawn == "risk"]
    return PairRanking(ranked, rates)


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
    lots = {candidate.key: rank_randomly(candidate.key).value for candidate in candidates}
    chosen = {key: lot / RANDOM_SHARE for key, lot in lots.items() if lot < RANDOM_SHARE}
    drawn = list(_draw_keys([candidate for candidate in candidates if candidate.key not in chosen]))
    ranked = {key: Priority(1 - (place + 0.5) / len(drawn), "risk") for place, key in enumerate(drawn)}
    return ranked | {key: Priority(lot, "random", 1 / RANDOM_SHARE) for key, lot in chosen.items()}


def _draw_keys(candidates: Sequence[Candidate]) -> Iterator[str]:
    """Yield the riskiest per second first, with no more than a few of a phrase or group in each batch."""
    rest, size = list(candidates), FIRST_BATCH
    while rest:
        keys = [draw.key for draw in draw_batch(rest, size, seed=0, random_share=0.0)]
        yield from keys
        drawn = set(keys)
        rest = [candidate for candidate in rest if candidate.key not in drawn]
        size = min(2 * size, LARGEST_BATCH)
