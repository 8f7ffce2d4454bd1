"""What a data engine's log says of quality: for each pair, what models alone would say beside what people say."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from engine.lottery import is_in_lottery
from engine.pairs import Correction, Judgement, LogRecord, Pair, Proposal, Reproposal, Withdrawal
from engine.states import PairDecision, StatePolicy, decide_pair, list_standing_entries
from engine.store.reading import PairRow, read_pair_pages
from engine.store.store import EngineStore
from engine.verifiers.labels import UNBIASED
from sam3_tool.masks.rle import RleMask

Said = Judgement | Correction
Stratum = Literal["models", "judged", "unjudged"]
"""Pairs that models alone would finish today; those that a model has judged without finishing them; and the others.

Each comes to people with a chance of its own: by an audit, by the random tenth, or one after the other.
"""


@dataclass(frozen=True, eq=False)
class PairEvidence:
    """A pair of which a person has said something."""

    pair: Pair
    proposal: Proposal
    entries: tuple[Said, ...]
    """What stands, of people and of models."""
    automatic: PairDecision
    """What models alone would decide today."""
    settled: PairDecision
    """What everybody together has decided."""

    @property
    def by_people(self) -> tuple[Said, ...]:
        """What people have said."""
        return tuple(entry for entry in self.entries if is_by_person(entry))

    @property
    def is_random(self) -> bool:
        """Whether it was drawn whatever anybody thought of it, so that it speaks for others."""
        return is_drawn_at_random(self.pair.key, self.by_people)

    @property
    def stratum(self) -> Stratum:
        """What decides how likely people are to see it."""
        return find_stratum(self.automatic, self.entries)

    @property
    def final_masks(self) -> tuple[RleMask, ...] | None:
        """Every instance, as people left it; None where they have not finished, or single ones cannot be told."""
        decision = self.settled
        if not (decision.name == "final" and decision.is_exhaustive and self.is_answered_for):
            return None
        if decision.correction is None:
            return self._pick_masks(decision)
        return None if any(decision.correction.groups) else decision.correction.masks

    @property
    def is_answered_for(self) -> bool:
        """Whether people answer for its end: by each decision, or by auditing the label of a model."""
        decision = self.settled
        audited = (
            isinstance(entry, Judgement) and entry.drawn == "audit" and {*entry.shown} == {*decision.accepted}
            for entry in self.by_people
        )
        return decision.is_human_end or (decision.is_end and any(audited))

    @property
    def automatic_masks(self) -> tuple[RleMask, ...] | None:
        """What models alone would export; None where they would ask a person."""
        return self._pick_masks(self.automatic) if self.automatic.name == "final" else None

    @property
    def finished_at(self) -> float:
        """Seconds since 1970, of the last thing that a person said."""
        return max(entry.at for entry in self.by_people)

    def _pick_masks(self, decision: PairDecision) -> tuple[RleMask, ...]:
        return tuple(self.proposal.masks[index] for index in decision.accepted)


@dataclass(frozen=True, eq=False)
class EngineEvidence:
    """All that people have said, and how many pairs it speaks for."""

    pairs: tuple[PairEvidence, ...]
    population: Counter[Stratum]
    """Pairs with a proposal."""
    lottery: int
    """Pairs with a proposal that are of the random tenth, or that people were shown at random."""
    ends: Counter[str]
    """Pairs at their end, by who decided: "human" or "model"."""


def find_stratum(automatic: PairDecision, entries: Sequence[Said]) -> Stratum:
    """Find the stratum of a pair.

    >>> find_stratum(PairDecision("final", decided_by="model"), []), find_stratum(PairDecision("masked"), [])
    ('models', 'unjudged')
    """
    if automatic.name == "final":
        return "models"
    return "unjudged" if all(is_by_person(entry) for entry in entries) else "judged"


def is_by_person(entry: object) -> bool:
    """Return whether an entry of the log is a person's word on a pair."""
    return isinstance(entry, Correction) or (isinstance(entry, Judgement) and entry.is_human)


def is_drawn_at_random(key: str, said: Sequence[Said]) -> bool:
    """Return whether a pair came to people at random.

    A correction does not say how it came. One without a judgement came at random if the pair is of the random tenth.

    Args:
        key: Of the pair.
        said: What people have said of it.
    """
    judgements = [entry for entry in said if isinstance(entry, Judgement)]
    if not judgements:
        return bool(said) and is_in_lottery(key)
    return any(entry.drawn in UNBIASED for entry in judgements)


def read_evidence(store: EngineStore, policy: StatePolicy) -> EngineEvidence:
    """Read what the log says of quality. Masks are read where a person has said something.

    Args:
        store: The data engine.
        policy: What judgements are worth.

    Returns:
        The evidence, in the order of the pairs.

    Raises:
        EngineError: The store cannot be read.
    """
    settling = replace(policy, blocked=policy.blocked | store.find_blocked_phrases())
    found: list[PairEvidence] = []
    population, ends, lottery = Counter[Stratum](), Counter[str](), 0
    for page in read_pair_pages(store.database):
        judged = {row.key for row in page if any(is_by_person(record.entry) for record in row.records)}
        proposals = store.read_proposals([row.key for row in page if row.key in judged and row.place is not None])
        for row in page:
            if row.place is None:
                continue
            entries = tuple(list_standing_entries(row.records))
            automatic = _decide_row(row, select_model_records(row.records), policy)
            is_same = row.key not in judged and row.pair.phrase not in settling.blocked
            settled = automatic if is_same else _decide_row(row, row.records, settling)
            population[find_stratum(automatic, entries)] += 1
            ends.update([settled.decided_by] if settled.is_end and settled.decided_by else [])
            by_people = [entry for entry in entries if is_by_person(entry)]
            lottery += is_in_lottery(row.key) or is_drawn_at_random(row.key, by_people)
            if by_people and row.key in proposals:
                found.append(PairEvidence(row.pair, proposals[row.key], entries, automatic, settled))
    return EngineEvidence(tuple(found), population, lottery, ends)


def select_model_records(records: Iterable[LogRecord]) -> list[LogRecord]:
    """Select what remains of a pair's log without people."""
    return [
        record
        for record in records
        if isinstance(record.entry, Withdrawal | Reproposal)
        or (isinstance(record.entry, Judgement) and not record.entry.is_human)
    ]


def _decide_row(row: PairRow, records: Sequence[LogRecord], policy: StatePolicy) -> PairDecision:
    count = None if row.place is None else row.place.masks
    return decide_pair(row.pair.phrase, count, records, policy.for_source(row.source))
