"""The tables of the review queue, and what their rows mean."""

import sqlite3
from dataclasses import dataclass, replace

NO_MASK = -1
"""Mask of an item that is about a whole pair."""
SEPARATOR = "\x1f"
"""Between the names in `item.answered`; no name may hold it."""

SCHEMA = """
create table if not exists item(
    id integer primary key,
    stage text not null, pair text not null, mask integer not null, version text not null,
    phrase text not null, domain text not null, size text not null,
    priority real not null, drawn text not null, weight real not null,
    wanted integer not null,                 -- opinions that it shall have
    gold text,                               -- the known answer, where there is one
    is_open integer not null default 1,
    answered text not null default '',       -- who has an opinion, sorted
    free integer not null,                   -- people who may begin it now
    unique(stage, pair, mask, version));
create index if not exists next_item on item(stage, answered, priority desc) where free > 0;
create index if not exists next_of_phrase on item(stage, phrase, answered, priority desc) where free > 0;
create index if not exists gold_item on item(stage, id) where gold is not null;
create index if not exists pair_item on item(pair);
create index if not exists phrase_item on item(phrase);
create table if not exists lease(
    item integer not null, person text not null, page text not null, until real not null,
    primary key(item, person)) without rowid;
create index if not exists lease_end on lease(until);
create index if not exists lease_person on lease(person);
create table if not exists opinion(
    id integer primary key autoincrement,
    answer text not null unique,             -- made by the page, so that an answer sent twice counts once
    batch text not null,                     -- answers that are undone together
    item integer not null, person text not null,
    choice text not null, reason text not null, content text not null,
    seconds real not null, at real not null,
    kind text not null,                      -- asked, second, further or gold
    is_withdrawn integer not null default 0, withdrawn_at real,
    position integer, withdrawal integer);   -- in the log of the project; null until written there
create unique index if not exists one_opinion on opinion(item, person) where is_withdrawn = 0;
create index if not exists person_opinion on opinion(person, id);
create index if not exists unlogged_opinion on opinion(id)
    where position is null or (is_withdrawn = 1 and withdrawal is null);
"""


@dataclass(frozen=True)
class NewItem:
    """Something that a person shall look at."""

    stage: str
    """'mv' (one mask), 'ev' (are all there?) or 'correct'."""
    pair: str
    """Key of the pair."""
    phrase: str
    priority: float = 0.0
    """What comes first has the highest."""
    mask: int | None = None
    """Index into the masks of the proposal; None where the item is about the whole pair."""
    version: str = ""
    """Of what is shown: with other masks it is another item, which everybody may be asked about."""
    domain: str = ""
    """Where the image is from."""
    size: str = ""
    """'small', 'medium' or 'large', of the mask or of the masks together; '' where there is none."""
    wanted: int = 1
    """Opinions of different people."""
    drawn: str = "risk"
    """Why it is shown: risk, random or audit."""
    weight: float = 1.0
    """Inverse of the chance with which it was drawn."""
    gold: str | None = None
    """The known answer, of an item that tests people."""


@dataclass(frozen=True)
class QueueItem:
    """An item of the queue, as it is given to a person."""

    id: int
    stage: str
    pair: str
    mask: int | None
    version: str
    phrase: str
    drawn: str
    """As in `Judgement`: risk, random, audit, second or gold."""
    weight: float
    gold: str | None


@dataclass(frozen=True)
class NewOpinion:
    """What a person says of an item."""

    item: int
    answer: str
    """An id made by whoever sends it: a second opinion of this id is the first one, sent again."""
    choice: str
    reason: str = ""
    seconds: float = 0.0
    content: str = ""
    """More in JSON, e.g. the masks of a correction."""
    batch: str = ""
    """Opinions that are undone together; empty for one alone."""


@dataclass(frozen=True)
class Opinion:
    """An opinion that is kept."""

    id: int
    item: QueueItem
    person: str
    choice: str
    reason: str
    content: str
    seconds: float
    at: float
    """Seconds since 1970."""
    kind: str
    """'asked', 'second' (others had answered), 'further' (the item had enough) or 'gold'."""
    is_withdrawn: bool
    withdrawn_at: float | None
    position: int | None
    """In the log of the project; None until it is written there."""


ITEM_COLUMNS = (
    "item.id, item.stage, item.pair, item.mask, item.version, item.phrase, item.drawn, item.weight, item.gold"
)
OPINION_COLUMNS = (
    "opinion.id, opinion.person, opinion.choice, opinion.reason, opinion.content, opinion.seconds, opinion.at,"
    f" opinion.kind, opinion.is_withdrawn, opinion.withdrawn_at, opinion.position, {ITEM_COLUMNS}"
)


def open_tables(path: str) -> sqlite3.Connection:
    """Open the file of a queue, and make its tables where they are missing."""
    connection = sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)
    connection.execute("pragma journal_mode = wal")
    connection.execute("pragma synchronous = normal")
    connection.execute("pragma wal_autocheckpoint = 0")  # `QueueFile` chooses when, and closing does
    connection.execute("pragma secure_delete = on")  # what is forgotten shall not be readable in the file
    connection.executescript(SCHEMA)
    return connection


def open_aside(path: str) -> sqlite3.Connection:
    """Open the file of a queue once more, for long reads and for checkpoints, which nobody shall wait for."""
    return sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)


def to_queue_item(row: tuple) -> QueueItem:
    """Convert a row of `ITEM_COLUMNS`."""
    number, stage, pair, mask, *others = row
    return QueueItem(number, stage, pair, None if mask == NO_MASK else mask, *others)


def to_opinion(row: tuple) -> Opinion:
    """Convert a row of `OPINION_COLUMNS`."""
    number, person, choice, reason, content, seconds, at, kind, is_withdrawn, withdrawn_at, position = row[:11]
    return Opinion(
        number,
        to_queue_item(row[11:]),
        person,
        choice,
        reason,
        content,
        seconds,
        at,
        kind,
        bool(is_withdrawn),
        withdrawn_at,
        position,
    )


@dataclass(frozen=True)
class Answer:
    """An opinion as statistics need it."""

    item: int
    stage: str
    pair: str
    phrase: str
    domain: str
    size: str
    person: str
    choice: str
    reason: str
    seconds: float
    kind: str
    gold: str | None

    @property
    def is_accepted(self) -> bool:
        """Whether nothing was wrong with the item."""
        return simplify_choice(self.choice) == "accept"


def simplify_choice(choice: str) -> str:
    """Return the side that a choice takes, in which people agree or do not.

    >>> simplify_choice("accept_text"), simplify_choice("flag")
    ('accept', 'flag')
    """
    sides = {"accept_text": "accept", "reject_unseparated": "reject", "corrected": "reject"}
    return sides.get(choice, choice)


def mark_gold(item: QueueItem) -> QueueItem:
    """Return an item that says that it tests people, where it does."""
    return item if item.gold is None else replace(item, drawn="gold")
