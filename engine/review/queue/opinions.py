"""Opinions in the queue: kept once each, taken back by another entry, and how many an item still lacks."""

import json
import sqlite3
from collections.abc import Collection, Iterable, Sequence
from hashlib import blake2b
from typing import NamedTuple

from engine.review.queue.tables import OPINION_COLUMNS, SEPARATOR, NewOpinion, Opinion, simplify_choice, to_opinion

UNDO_LENGTH = 20
"""A person's latest answers that can be taken back."""
MAX_BATCH = 24
"""Answers of one grid."""
MAX_OPINIONS = 3
"""People who are asked about one item at most, when the first two disagree."""
TICK = 1e-6
"""Seconds between two opinions of one person at least."""
DOUBLE_SHARE = 0.10
"""Of the items are shown to two people."""
_STANDING = """
select item.id, gold, is_open, wanted, (select count(*) from lease where lease.item = item.id),
(select json_group_array(json_array(person, choice)) from opinion where opinion.item = item.id and is_withdrawn = 0)
from item where item.id in (select value from json_each(?))"""
_SET_FREE = """
update item set free = json_extract(new.value, '$[1]'), answered = json_extract(new.value, '$[2]')
from json_each(?) as new where item.id = json_extract(new.value, '$[0]')"""


class OpinionChoice(NamedTuple):
    """Which answers of a person are to be taken back: the latest of those that fit.

    >>> OpinionChoice("anna", limit=200).choice
    ''
    """

    person: str
    limit: int = -1
    """How many at most; -1 for all."""
    since: float = 0.0
    """Seconds since 1970."""
    choice: str = ""
    """Only answers of this choice; empty for every one."""


class ItemStanding(NamedTuple):
    """What was said of an item so far."""

    id: int
    gold: str | None
    is_open: bool
    wanted: int
    leases: int
    opinions: list[tuple[str, str]]
    """Person and choice of each that is not taken back."""

    @property
    def choices(self) -> list[str]:
        """What people chose."""
        return [choice for _, choice in self.opinions]

    @property
    def is_enough(self) -> bool:
        """Whether a further opinion is one too many."""
        return not self.is_open or len(self.opinions) >= count_wanted(self.choices, self.wanted)

    def name_kind(self) -> str:
        """Name the kind of the next opinion; what an item that became a test still lacks counts as any other."""
        if self.is_enough:
            return "further" if self.gold is None else "gold"
        return "second" if self.opinions else "asked"


def read_standings(connection: sqlite3.Connection, items: Collection[int]) -> dict[int, ItemStanding]:
    """Read how items stand, all in one statement: threads wait for each other at every one."""
    rows = connection.execute(_STANDING, (json.dumps([*items]),)).fetchall()
    return {
        number: ItemStanding(number, gold, bool(is_open), wanted, leases, [*map(tuple, json.loads(opinions))])
        for number, gold, is_open, wanted, leases, opinions in rows
    }


def update_free(connection: sqlite3.Connection, items: Collection[int]) -> None:
    """Count anew how many more people may begin these items, and who has answered them."""
    if not items:
        return
    new = []
    for standing in read_standings(connection, items).values():
        missing = count_wanted(standing.choices, standing.wanted) - len(standing.opinions) - standing.leases
        answered = SEPARATOR.join(sorted(person for person, _ in standing.opinions))
        new.append([standing.id, max(0, missing) if standing.is_open else 0, answered])
    connection.execute(_SET_FREE, (json.dumps(new),))


def insert_opinions(
    connection: sqlite3.Connection, person: str, opinions: Sequence[NewOpinion], at: float
) -> dict[str, str]:
    """Insert what a person says; see `ReviewQueue.keep_opinions`."""
    answers = json.dumps([opinion.answer for opinion in opinions])
    known = connection.execute(
        "select answer from opinion where answer in (select value from json_each(?))", (answers,)
    )
    there = {answer for (answer,) in known.fetchall()}
    standings = read_standings(connection, {opinion.item for opinion in opinions})
    at = _choose_time(connection, person, at)
    statuses: dict[str, str] = {}
    rows: list[tuple] = []
    items: list[int] = []
    for opinion in opinions:
        standing = standings.get(opinion.item)
        if opinion.answer in there:
            statuses.setdefault(opinion.answer, "repeated")
        elif standing is None:
            statuses[opinion.answer] = "unknown"
        elif any(name == person for name, _ in standing.opinions):
            statuses[opinion.answer] = "answered"
        else:
            statuses[opinion.answer] = "kept"
            there.add(opinion.answer)
            rows.append(_build_row(person, opinion, at + TICK * len(rows), standing.name_kind()))
            items.append(opinion.item)
            # a second answer of this very batch to the same item is then refused as well
            standing.opinions.append((person, opinion.choice))
    connection.executemany(
        "insert into opinion(answer, batch, item, person, choice, reason, content, seconds, at, kind)"
        " values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        rows,
    )
    connection.execute(
        "delete from lease where person = ? and item in (select value from json_each(?))", (person, json.dumps(items))
    )
    update_free(connection, items)
    return statuses


def _choose_time(connection: sqlite3.Connection, person: str, now: float) -> float:
    """Return a time that no opinion of this person has: in the log, an opinion is known by its person and its time."""
    query = "select at from opinion where person = ? order by id desc limit 1"
    [(latest,)] = connection.execute(query, (person,)).fetchall() or [(0.0,)]
    # a clock that stood still, or was set back a little; further back there is room
    return latest + TICK if 0 <= latest - now < 1 else now


def _build_row(person: str, opinion: NewOpinion, at: float, kind: str) -> tuple:
    return (
        *(opinion.answer, opinion.batch or opinion.answer, opinion.item, person, opinion.choice, opinion.reason),
        *(opinion.content, opinion.seconds, at, kind),
    )


def withdraw_latest(connection: sqlite3.Connection, person: str, at: float) -> list[Opinion]:
    """Take back a person's latest answer, or all answers of its batch; return what was taken back."""
    rows = connection.execute(
        "select batch, is_withdrawn from opinion where person = ? order by id desc limit ?",
        (person, UNDO_LENGTH * MAX_BATCH),
    )
    latest = list(dict(rows).items())[:UNDO_LENGTH]
    batch = next((batch for batch, is_withdrawn in latest if not is_withdrawn), None)
    if batch is None:
        return []
    found = find_opinions(connection, "person = ? and batch = ? and is_withdrawn = 0", (person, batch))
    connection.executemany(
        "update opinion set is_withdrawn = 1, withdrawn_at = ? where id = ?", [(at, opinion.id) for opinion in found]
    )
    return found


def withdraw_chosen(connection: sqlite3.Connection, chosen: OpinionChoice, at: float) -> list[Opinion]:
    """Take back the answers of a person that are chosen, however many they are; return them."""
    conditions = ["person = ?", "is_withdrawn = 0", "at >= ?", *(["choice = ?"] if chosen.choice else [])]
    values = (chosen.person, chosen.since, *([chosen.choice] if chosen.choice else []))
    where = " and ".join(conditions)
    latest = f"select id from opinion where {where} order by id desc limit ?"
    found = find_opinions(connection, f"opinion.id in ({latest})", (*values, chosen.limit))
    connection.executemany(
        "update opinion set is_withdrawn = 1, withdrawn_at = ? where id = ?", [(at, opinion.id) for opinion in found]
    )
    return found


def find_opinions(connection: sqlite3.Connection, condition: str, values: tuple, limit: int = -1) -> list[Opinion]:
    """Find opinions, oldest first."""
    rows = connection.execute(
        f"select {OPINION_COLUMNS} from opinion join item on item.id = opinion.item"
        f" where {condition} order by opinion.id limit ?",
        (*values, limit),
    )
    return [to_opinion(row) for row in rows]


def mark_logged(connection: sqlite3.Connection, written: Iterable[tuple[int, int, int | None]]) -> None:
    """Note what the log of the project has; see `ReviewQueue.mark_logged`."""
    connection.executemany(
        "update opinion set position = ?, withdrawal = coalesce(?, withdrawal), content = '' where id = ?",
        [(position, withdrawal, number) for number, position, withdrawal in written],
    )  # masks are in the log alone, which can forget them


def count_wanted(choices: Sequence[str], wanted: int) -> int:
    """Return how many opinions an item shall have: a third one where two disagree.

    >>> count_wanted(["accept", "reject"], 2), count_wanted(["accept", "reject", "flag"], 2), count_wanted([], 1)
    (3, 3, 1)
    """
    sides = {simplify_choice(choice) for choice in choices}
    return max(wanted, MAX_OPINIONS) if len(sides) > 1 else wanted


def choose_wanted(stage: str, pair: str, mask: int | None, *, share: float = DOUBLE_SHARE) -> int:
    """Return 2 for one item in ten, always the same ones, and 1 for the others."""
    digest = blake2b(f"{stage}\0{pair}\0{mask}".encode(), digest_size=8).digest()
    return 2 if int.from_bytes(digest, "big") < share * 2**64 else 1
