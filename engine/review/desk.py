"""The desk between the queue and the log: what a pair needs becomes items, and what people say becomes entries."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from threading import RLock

from engine.errors import EngineError
from engine.lottery import draw_lot
from engine.media.images import EngineImage
from engine.pairs import Entry, Judgement, LogRecord, Pair, Proposal, Reproposal, Withdrawal
from engine.quality.auditing import AUDIT_SHARE, is_audited, is_model_label, read_audit_sample
from engine.review.entries import build_version, check_choice, name_person, parse_number, read_content, to_entries
from engine.review.queue.opinions import DOUBLE_SHARE, OpinionChoice, choose_wanted
from engine.review.queue.review_queue import ReviewQueue
from engine.review.queue.tables import NewItem, NewOpinion, Opinion, QueueItem
from engine.states import PairDecision, PairState, PairSummary, StatePolicy, move_entry
from engine.store.changes import ChangeFinder, read_data_version
from engine.store.settings import read_withdrawn_phrases
from engine.store.store import EngineStore

QUEUE_FILE = "review.sqlite"
PAGE = 2000
"""Pairs that are put into the queue together."""
FOLLOWED_PAIRS = 64
"""Pairs of another process that are taken over in one call, half a second's: whoever ends the review waits for it."""
MAX_GOLD = 200
"""Items per stage that test people."""
STAGES = ("mv", "ev", "correct")


@dataclass(frozen=True)
class Priority:
    """When a pair is shown, and why."""

    value: float
    drawn: str = "risk"
    weight: float = 1.0


Ranking = Callable[[str], Priority]
"""Pair key -> its priority."""


Learner = Callable[[PairSummary, Iterable[LogRecord]], None]
"""Is told of a pair and its log."""


def learn_nothing(summary: PairSummary, records: Iterable[LogRecord]) -> None:
    """Do nothing."""


def rank_randomly(pair: str) -> Priority:
    """Return the priority of a pair where nobody has measured its risk: a random one, always the same."""
    return Priority(draw_lot(pair), "random")


@dataclass(frozen=True)
class ModelOpinion:
    """What a model said of an item, for whoever has answered it."""

    choice: str
    probability: float | None
    by: str


class ReviewDesk:
    """Hands out what people shall look at, and writes what they say into the log.

    Args:
        store: The project, open for writing.
        queue: Its queue.
        policy: What judgements are worth.
        rank: When each pair is shown.
        double_share: Of the items, that two people are asked about; 0 where there is only one.
        learn: Is told what the log holds of a pair that another process has changed, before `rank` is asked for it.
        read_policy: Is asked what judgements are worth whenever another process has written; left out, that never
            changes.
    """

    def __init__(
        self,
        store: EngineStore,
        queue: ReviewQueue,
        *,
        policy: StatePolicy = StatePolicy(),  # noqa: B008  # frozen
        rank: Ranking = rank_randomly,
        double_share: float = DOUBLE_SHARE,
        learn: Learner = learn_nothing,
        read_policy: Callable[[], StatePolicy] | None = None,
    ) -> None:
        self.store, self.queue = store, queue
        self.policy, self._rank, self._learn, self._read_policy = policy, rank, learn, read_policy
        self._double_share = double_share
        self._lock = RLock()
        self._audit, self._withdrawn = read_audit_sample(store), read_withdrawn_phrases(store.database).keys()
        self._changes, self._version = ChangeFinder(), read_data_version(store.database)
        self._changed: dict[str, None] = {}
        self._is_waiting = False

    def synchronize(self) -> int:
        """Write what the log lacks, and fill the queue with what the pairs need. Call it once at the start.

        Returns:
            How many items there are to look at.
        """
        with self._lock:
            self._version = read_data_version(self.store.database)
            self.write_log()
            self._changes.find_pairs(self.store.database)
            proposals = self._read_proposal_numbers()
            self._forget_missing()
            self.queue.close_all()
            self.queue.close_outdated(proposals)
            count = 0
            summaries = self.store.iterate_summaries(self.policy)
            while page := list(islice(summaries, PAGE)):
                items = [
                    item
                    for summary in page
                    for item in self._list_items(
                        summary.pair, summary.decision, proposals.get(summary.pair.key, 0), summary.source
                    )
                ]
                count += self.queue.add_items(items)
            return count

    def _read_proposal_numbers(self, pair: str | None = None) -> dict[str, int]:
        where, values = ("", ()) if pair is None else (" WHERE pair = ?", (pair,))
        with self.store.database.read() as connection:
            rows = connection.execute(f"SELECT pair, MAX(id) FROM proposals{where} GROUP BY pair", values)
            return dict(rows.fetchall())

    def _forget_missing(self) -> None:
        """Remove from the queue what was forgotten in the project."""
        known = {pair.key for pair in self.store.pairs()}
        self.queue.forget_pairs([pair for pair in self.queue.list_pairs() if pair not in known])

    def _list_items(self, pair: Pair, decision: PairDecision, proposal: int, source: str) -> Iterator[NewItem]:
        """Yield what a pair needs of people."""
        priority = self._rank(pair.key)
        needed: list[tuple[str, int | None, str]] = []
        match decision.needs:
            case "mv":
                needed = [("mv", mask, build_version(proposal)) for mask in decision.open_masks]
            case "ev" | "correct":
                needed = [(decision.needs, None, build_version(proposal, decision.accepted))]
            case "" if is_model_label(decision) and (is_audited(pair.key) or pair.key in self._audit):
                needed = [("ev", None, build_version(proposal, decision.accepted))]
                priority = Priority(priority.value, "audit", 1 / AUDIT_SHARE if is_audited(pair.key) else 1.0)
        for stage, mask, version in needed:
            yield NewItem(
                stage=stage,
                pair=pair.key,
                mask=mask,
                version=version,
                phrase=pair.phrase,
                domain=source,
                priority=priority.value,
                drawn=priority.drawn,
                weight=priority.weight,
                wanted=choose_wanted(stage, pair.key, mask, share=self._double_share),
            )

    def keep_opinions(self, person: str, opinions: Sequence[NewOpinion]) -> dict[str, str]:
        """Keep what a person says, write it into the log, and ask for what the pairs need next.

        Args:
            person: Who says it.
            opinions: In the order in which they were given.

        Returns:
            As `ReviewQueue.keep_opinions`, or 'invalid: …' with a sentence.
        """
        statuses = {opinion.answer: self._check_opinion(opinion) for opinion in opinions}
        valid = [opinion for opinion in opinions if not statuses[opinion.answer]]
        statuses.update(self.queue.keep_opinions(person, valid))
        with self._lock:
            self.write_log()
        for opinion in valid:
            self._promote_gold(opinion.item)
        return statuses

    def _check_opinion(self, opinion: NewOpinion) -> str:
        item = self.queue.find_item(opinion.item)
        if item is None:
            return ""  # the queue says that it is unknown
        if told := check_choice(item.stage, opinion.choice, opinion.reason):
            return f"invalid: {told}"
        if opinion.content:
            try:
                proposal, image = self.find_subject(item)
                read_content(opinion.content, proposal, (image.height, image.width))
            except EngineError as error:
                return f"invalid: {error}"
        return ""

    def undo_opinions(self, person: str, page: str) -> list[QueueItem]:
        """Take back a person's latest answer, or their latest grid.

        Returns:
            The items, which are theirs to answer again.
        """
        undone = self.queue.undo_opinions(person, page=page)
        with self._lock:
            self.write_log()
            if any(opinion.choice == "flag" for opinion in undone):  # all pairs of the phrase are asked about again
                self.synchronize()
        return [opinion.item for opinion in undone]

    def withdraw_opinions(self, chosen: OpinionChoice) -> list[QueueItem]:
        """Take back answers of a person, also those that are too many or too old for `undo_opinions`.

        Args:
            chosen: Which ones.

        Returns:
            Their items, which wait for whoever comes next.
        """
        withdrawn = self.queue.withdraw_opinions(chosen)
        self.synchronize()
        return [opinion.item for opinion in withdrawn]

    def write_log(self) -> None:
        """Write into the log what it lacks. After a crash between the two files, nothing is written twice."""
        while opinions := self.queue.list_unlogged():
            with self.store.database.write():  # one transaction: a grid of 24 waits for the disk once
                written = [self._write_opinion(opinion) for opinion in opinions]
            self.queue.mark_logged(written)
            for pair in dict.fromkeys(opinion.item.pair for opinion in opinions):
                self.advance_pair(pair)

    def _write_opinion(self, opinion: Opinion) -> tuple[int, int, int | None]:
        """Return the opinion's number, its position, and that of the entry which takes it back."""
        positions = self._find_written(opinion)
        position = opinion.position
        if position is None:
            position = min(positions) if positions else self._append_opinion(opinion)
        if not opinion.is_withdrawn:
            return opinion.id, position, None
        at, by = opinion.withdrawn_at or time.time(), name_person(opinion.person)
        taken = self.store.append([Withdrawal(position=number, by=by, at=at) for number in positions])
        return opinion.id, position, max(taken, default=0)

    def _append_opinion(self, opinion: Opinion) -> int:
        """Append an opinion that stands; return its position, 0 for one whose masks are not there any more."""
        subject = None if opinion.is_withdrawn else self.look_up(opinion.item)
        if subject is None:
            return 0
        proposal, image = subject
        entries = to_entries(opinion, proposal, (image.height, image.width))
        for again in self._list_later_proposals(opinion.item):
            entries = [moved for entry in entries if (moved := move_entry(entry, again)) is not None]
        return min(self.store.append([*entries]), default=0)

    def _list_later_proposals(self, item: QueueItem) -> list[Reproposal]:
        """List what a run has proposed since an item was made: which of its masks are there again, in order."""
        with self.store.database.read() as connection:
            query = "SELECT count(*) FROM proposals WHERE pair = ? AND id > ?"
            [(count,)] = connection.execute(query, (item.pair, parse_number(item.version)))
        if not count:
            return []
        entries = (record.entry for record in self.store.entries(item.pair))
        return [entry for entry in entries if isinstance(entry, Reproposal)][-count:]

    def follow_store(self) -> int:
        """Ask for what another process has proposed, judged, drawn or withdrawn since, for some pairs at a time.

        Returns:
            How many pairs it was; 0 once there are no more.

        Raises:
            EngineError: The store cannot be read or written. The next call goes on with the pairs that are left.
        """
        if self._is_waiting:
            return 0
        version = read_data_version(self.store.database)
        if version != self._version:
            for key in self._find_changed():
                self._changed[key] = None
            self._version = version
        changed = [*islice(self._changed, FOLLOWED_PAIRS)]
        for key in changed:
            del self._changed[key]
            try:
                with self._lock:
                    self._take_over(key)
            except BaseException:
                self._changed[key] = None  # behind the others, lest a pair that cannot be read holds them up
                raise
        return len(changed)

    @contextmanager
    def wait_for_work(self) -> Iterator[None]:
        """Follow nothing until the block ends: what is open in the middle of the work need not come to people."""
        self._is_waiting = True
        try:
            yield
        finally:
            self._is_waiting = False

    def _find_changed(self) -> Iterator[str]:
        """Yield the pairs with new masks or entries, those that an audit has drawn, and those of withdrawn phrases."""
        yield from self._changes.find_pairs(self.store.database)
        audit, withdrawn = read_audit_sample(self.store), read_withdrawn_phrases(self.store.database).keys()
        phrases = sorted(withdrawn ^ self._withdrawn)
        chosen = [
            *sorted(audit - self._audit),
            *(pair.key for phrase in phrases for pair in self.store.pairs(phrase=phrase)),
        ]
        self._audit, self._withdrawn = audit, withdrawn
        yield from chosen
        yield from self._take_policy()

    def _take_policy(self) -> Iterator[str]:
        """Take thresholds that were set meanwhile; yield the pairs that are decided otherwise by them."""
        before, self.policy = self.policy, self.policy if self._read_policy is None else self._read_policy()
        if self.policy == before:
            return
        summaries = (self.store.iterate_summaries(policy) for policy in (before, self.policy))
        for earlier, later in zip(*summaries, strict=False):  # pairs may come meanwhile, at the end
            if earlier.pair.key != later.pair.key or earlier.decision != later.decision:
                yield later.pair.key

    def _take_over(self, key: str) -> None:
        """Ask for what a pair needs now that a run has proposed its masks or judged them."""
        number = self._read_proposal_numbers(key).get(key, 0)
        self.queue.close_earlier(key, number)
        state = self.read_state(key)
        if state is not None:
            self._learn(self._summarize(state), self.store.entries(key))
        self.advance_pair(key, is_new_only=False)

    def _summarize(self, state: PairState) -> PairSummary:
        image = self.store.find_image(state.pair.image)
        return PairSummary(state.pair, state.decision, group="" if image is None else image.group)

    def _find_written(self, opinion: Opinion) -> list[int]:
        """Return the positions at which the log holds an opinion that nobody has taken back."""
        by = name_person(opinion.person)
        positions: list[int] = []
        for record in self.store.entries(opinion.item.pair):
            entry: Entry = record.entry
            if isinstance(entry, Withdrawal):
                positions = [position for position in positions if position != entry.position]
            elif getattr(entry, "by", "") == by and entry.at == opinion.at:
                positions.append(record.position)
        return positions

    def advance_pair(self, key: str, *, is_new_only: bool = True) -> None:
        """Ask for what a pair needs next, and no more for what it needs no longer.

        Args:
            key: Of the pair.
            is_new_only: Leave items that are open already as they are, with their priority.
        """
        state = self.read_state(key)
        if state is None:
            return
        decision = state.decision
        if decision.blocked:
            self.queue.close_phrase(state.pair.phrase)
        elif decision.name in ("rejected", "unsure"):
            self.queue.close_pair(key)
        else:
            self._ask_next(state.pair, decision, is_new_only=is_new_only)

    def read_state(self, key: str) -> PairState | None:
        """Return the state of a pair by the policy of the project; None where there is no such pair."""
        return self.store.read_state(key, self.policy)

    def _ask_next(self, pair: Pair, decision: PairDecision, *, is_new_only: bool) -> None:
        number = self._read_proposal_numbers(pair.key).get(pair.key, 0)
        version = build_version(number, None if decision.needs == "mv" else decision.accepted)
        is_strict = decision.needs != "mv" and decision.correction is None
        self.queue.close_stale(pair.key, decision.needs, version, is_strict=is_strict)
        if decision.needs == "mv" or not self.queue.has_open("mv", pair.key):
            image = self.store.find_image(pair.image)
            source = "" if image is None else image.source
            self.queue.add_items(list(self._list_items(pair, decision, number, source)), is_new_only=is_new_only)

    def _promote_gold(self, item: int) -> None:
        """Let an item of which at least two people have said the same test others."""
        found = self.queue.find_item(item)
        if found is None or found.gold is not None or found.stage == "correct":
            return
        choices = [opinion.choice for opinion in self.queue.list_opinions(item=item)]
        is_agreed = len(choices) >= 2 and len(set(choices)) == 1
        if is_agreed and self.queue.count_gold(found.stage) < MAX_GOLD:
            self.queue.set_gold(item, choices[0])

    def find_subject(self, item: QueueItem) -> tuple[Proposal, EngineImage]:
        """Return the proposal and the image that an item is about. Raises EngineError where they are forgotten."""
        subject = self.look_up(item)
        if subject is None:
            raise EngineError("this item was removed from the project meanwhile; go on with the next one")
        return subject

    def look_up(self, item: QueueItem) -> tuple[Proposal, EngineImage] | None:
        """Return the proposal and the image that an item is about; None where they are forgotten."""
        number = parse_number(item.version)
        image, proposal = self.find_image(item), self.store.read_numbered_proposals([number]).get(number)
        return None if image is None or proposal is None or proposal.pair != item.pair else (proposal, image)

    def find_image(self, item: QueueItem) -> EngineImage | None:
        """Return the image that an item is about; None where it is forgotten."""
        pair = self.store.find_pair(item.pair)
        return None if pair is None else self.store.find_image(pair.image)

    def find_model_opinion(self, item: QueueItem) -> ModelOpinion | None:
        """Return the latest that a model said of an item."""
        entries: Iterable[Entry] = (record.entry for record in self.store.entries(item.pair))
        said = [
            entry
            for entry in entries
            if isinstance(entry, Judgement)
            and not entry.is_human
            and (entry.stage, entry.mask) == (item.stage, item.mask)
        ]
        return ModelOpinion(said[-1].choice, said[-1].probability, said[-1].by) if said else None
