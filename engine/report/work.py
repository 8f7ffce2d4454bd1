"""What is left for people and for machines, by the seconds that they took so far, and when pairs came to their end."""

import sqlite3
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.errors import EngineError
from engine.pairs import Correction, Judgement
from engine.review.desk import QUEUE_FILE
from engine.review.queue.opinions import choose_wanted
from engine.review.queue.tables import Answer
from engine.review.team.estimate import Estimate, estimate_rest, format_hours
from engine.review.team.machine import MachinePairs, MachineRest, build_machine_rest, describe_machine_rest
from engine.states import PairSummary, StatePolicy
from engine.store.store import EngineStore


@dataclass(frozen=True)
class EngineWork:
    """What people still have to do, and when what is done was done."""

    rest: Estimate
    machine: MachineRest
    answers: int
    """Of people, so far; until there are some of a task, its seconds are those that are usual."""
    finished: tuple[tuple[float, str], ...]
    """Seconds since 1970 and who decided ("human" or "model"), of each pair at its end, in order."""

    def to_json(self) -> dict[str, Any]:
        """Convert what is left to JSON values."""
        people = {**vars(self.rest), "items": dict(self.rest.items), "answers": self.answers}
        return {"people": people, "machines": self.machine.to_json()}


def read_work(store: EngineStore, policy: StatePolicy, wage: float | None) -> EngineWork:
    """Read what is left, and when pairs came to their end; nothing is written.

    Args:
        store: The data engine.
        policy: What judgements are worth.
        wage: Money for an hour of a person's work; None where nobody has said it.

    Raises:
        EngineError: The store, or the queue of the review, cannot be read.
    """
    latest = find_latest_times(store)
    missing, finished, waiting, pairs = Counter[str](), [], 0, 0
    machine = MachinePairs()
    for summary in store.iterate_summaries(policy):
        machine.add_pair(summary)
        wanted = count_opinions(summary)
        missing.update(wanted)
        waiting, pairs = waiting + ("mv" in wanted), pairs + bool(wanted)
        who = summary.decision.decided_by
        if summary.decision.is_end and (summary.pair.key, who) in latest:
            finished.append((latest[summary.pair.key, who], who))
    answers = read_answers(store.folder / QUEUE_FILE)
    rest = estimate_rest(pairs, missing, waiting, answers, wage)
    return EngineWork(rest, build_machine_rest(store, machine), len(answers), tuple(sorted(finished)))


def find_latest_times(store: EngineStore) -> dict[tuple[str, str], float]:
    """Find when a pair was last said something of, by people ("human") and by anybody ("model")."""
    latest: dict[tuple[str, str], float] = {}
    for record in store.entries():
        entry = record.entry
        if isinstance(entry, Judgement | Correction):
            is_model = isinstance(entry, Judgement) and not entry.is_human
            for who in ("model",) if is_model else ("human", "model"):
                latest[entry.pair, who] = max(entry.at, latest.get((entry.pair, who), 0.0))
    return latest


def count_opinions(summary: PairSummary) -> Counter[str]:
    """Count the opinions that a pair needs now, by stage; none where no person is asked.

    >>> from engine.pairs import Pair
    >>> from engine.states import PairDecision
    >>> pair = Pair(image="5d", phrase="cup", original="cup", origin="list")
    >>> count_opinions(PairSummary(pair, PairDecision("masked", open_masks=(0, 1), needs="mv")))["mv"]
    2
    """
    key, needs = summary.pair.key, summary.decision.needs
    if needs == "mv":
        return Counter(mv=sum(choose_wanted("mv", key, mask) for mask in summary.decision.open_masks))
    return Counter({needs: choose_wanted(needs, key, None)}) if needs in ("ev", "correct") else Counter()


def read_answers(path: Path) -> Sequence[Answer]:
    """Read the answers of the queue of a review beside whoever writes it. Raises EngineError."""
    if not path.exists():
        return ()
    columns = "item.id, stage, pair, phrase, domain, size, person, choice, reason, seconds, kind, gold"
    query = f"SELECT {columns} FROM opinion JOIN item ON item.id = opinion.item WHERE is_withdrawn = 0"
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", timeout=30, uri=True)) as connection:
            return [Answer(*row) for row in connection.execute(query)]
    except sqlite3.Error as error:
        raise EngineError(
            f"{path} cannot be read ({error}); put a copy of it back, or move it away: answers that are in the log stay"
        ) from error


def count_finished(finished: Iterable[tuple[float, str]], decider: str) -> list[tuple[float, int]]:
    """Return seconds since 1970, and how many pairs of one kind of decider were at their end by then.

    >>> count_finished([(10.0, "human"), (20.0, "model"), (30.0, "human")], "human")
    [(10.0, 1), (20.0, 1), (30.0, 2)]
    """
    count, points = 0, []
    for at, by in finished:
        count += by == decider
        points.append((at, count))
    return points


def describe_work(work: EngineWork) -> list[tuple[str, str, str]]:
    """Say how much is left for people and for machines: heading, name and value of each line."""
    rest, machine = work.rest, work.machine
    basis = f"by {work.answers:,} answers so far" if work.answers else "by usual seconds, for nobody has answered yet"
    interval = f"{format_hours(rest.hours)} ({format_hours(rest.low)} to {format_hours(rest.high)})"
    people = f"{interval} for {rest.pairs:,} pairs, {basis}" if rest.pairs else "no pair waits for a person now"
    return [("left", "people", people), ("left", "machines", describe_machine_rest(machine))]
