"""The review queue: who looks at what now, and what they said. One process writes it; answers are never overwritten."""

import sqlite3
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path
from threading import RLock

from engine.review.queue_tables import (
    ITEM_COLUMNS,
    NO_MASK,
    OPINION_COLUMNS,
    SEPARATOR,
    Answer,
    NewItem,
    NewOpinion,
    Opinion,
    QueueItem,
    open_reader,
    open_tables,
    simplify_choice,
    to_opinion,
    to_queue_item,
)
from engine.review.write_ahead import WriteAheadFile

LEASE_SECONDS = 120.0
"""An item goes back to the others when nothing was heard of its page for so long."""
MAX_LEASES = 96
"""Items that one person may hold: two grids of 24, and as many ahead."""
UNDO_LENGTH = 20
"""A person's latest answers that can be taken back."""
MAX_BATCH = 24
"""Answers of one grid."""
MAX_OPINIONS = 3
"""People who are asked about one item at most, when the first two disagree."""
DOUBLE_SHARE = 0.10
"""Of the items are shown to two people."""
GOLD_EVERY = 50
"""One answer in so many is of an item whose answer is known."""
CHECKPOINT_CALLS = 200
"""Calls that keep opinions between two times at which the log of SQLite is moved into its file."""
_OPEN_GROUPS = """
with recursive seen(answered) as (
    select min(answered) from item where stage = :stage and free > 0
    union all
    select (select min(answered) from item where stage = :stage and free > 0 and answered > seen.answered)
    from seen where seen.answered is not null)
select answered from seen where answered is not null"""
"""Every set of people who have answered items that are still open, one seek in the index each."""
_NEXT_ITEMS = f"""
select item.priority, {ITEM_COLUMNS} from item
where stage = :stage and answered = :answered and free > 0 {{phrase}}
and not exists (select 1 from lease where lease.item = item.id and lease.person = :person)
order by item.priority desc limit :count"""


class ReviewQueue:
    """Items with leases and opinions in a file of SQLite.

    Objects may be shared between threads; another process must not write the same file.

    Args:
        path: The file, which is made where it is missing; ":memory:" for none.
        clock: Seconds since 1970.

    >>> queue = ReviewQueue(":memory:")
    >>> queue.add_items([NewItem("mv", "0123456789abcdef", "red cup", mask=0)])
    1
    >>> [item] = queue.take_items("anna", "mv")
    >>> queue.take_items("ben", "mv")
    []
    >>> queue.keep_opinions("anna", [NewOpinion(item.id, "a1", "accept", seconds=2.5)])
    {'a1': 'kept'}
    """

    def __init__(self, path: str | Path, *, clock: Callable[[], float] = time.time) -> None:
        self._connection = open_tables(str(path))
        self._clock = clock
        self._lock = RLock()
        self._calls = 0
        is_file = str(path) != ":memory:"
        self._reader = open_reader(str(path)) if is_file else self._connection
        self._reader_lock = RLock() if is_file else self._lock
        self._journal = WriteAheadFile(Path(path)) if is_file else None

    def close(self) -> None:
        """Close the file."""
        with self._lock, self._reader_lock:
            self._reader.close()
            self._connection.close()
            if self._journal is not None:
                self._journal.close()

    @contextmanager
    def _write(self, *, durable: bool = False) -> Iterator[sqlite3.Connection]:
        """Hold the file for one transaction; `durable` then waits for the disk, while others may go on."""
        with self._transact() as connection:
            yield connection
        if durable and self._journal is not None:
            self._journal.synchronize()

    @contextmanager
    def _transact(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            self._connection.execute("begin immediate")
            try:
                yield self._connection
            except BaseException:
                self._connection.execute("rollback")
                raise
            self._connection.execute("commit")

    def _read(self, text: str, values: object = ()) -> list[tuple]:
        with self._lock:
            return self._connection.execute(text, values).fetchall()  # type: ignore[arg-type]

    def _read_aside(self, text: str) -> list[tuple]:
        """Read much: nobody waits for it who takes or answers."""
        with self._reader_lock:
            return self._reader.execute(text).fetchall()

    def add_items(self, items: Iterable[NewItem], *, is_new_only: bool = False) -> int:
        """Add items, open again those that were closed, and give them their new priority.

        Args:
            items: What shall be looked at. An item that is there already keeps its opinions.
            is_new_only: Leave open items as they are, with their priority.

        Returns:
            How many there were.
        """
        rows = [
            (
                *(item.stage, item.pair, NO_MASK if item.mask is None else item.mask, item.version),
                *(item.phrase, item.domain, item.size, item.priority, item.drawn, item.weight),
                *(item.wanted, item.gold, item.wanted),
            )
            for item in items
        ]
        with self._write(durable=True) as connection:
            connection.executemany(
                "insert into item(stage, pair, mask, version, phrase, domain, size, priority, drawn, weight, wanted,"
                f" gold, free) values ({', '.join('?' * 13)}) on conflict(stage, pair, mask, version) do update set"
                " priority = excluded.priority, gold = coalesce(excluded.gold, gold), drawn = excluded.drawn,"
                " weight = excluded.weight, wanted = max(wanted, excluded.wanted), is_open = 1,"
                " free = max(wanted, excluded.wanted)" + (" where is_open = 0" if is_new_only else ""),
                rows,
            )
            begun = (
                "select id from item where stage = ? and pair = ? and mask = ? and version = ?"
                " and (answered <> '' or exists (select 1 from lease where lease.item = item.id))"
            )
            found = [number for row in rows for (number,) in connection.execute(begun, row[:4])]
            self._update_free(connection, found)
        return len(rows)

    def close_pair(self, pair: str) -> None:
        """Ask nobody any more about a pair. Answers under way are kept as further opinions."""
        self._close_items("pair = ?", (pair,))

    def close_phrase(self, phrase: str) -> None:
        """Ask nobody any more about a phrase, in any image."""
        self._close_items("phrase = ?", (phrase,))

    def close_all(self) -> None:
        """Ask nobody about anything until items are added again; what waits for a second opinion goes on waiting."""
        self._close_items("answered = ''", ())

    def close_stale(self, pair: str, stage: str, version: str, *, is_strict: bool) -> None:
        """Ask no more about a pair what it does not need.

        Args:
            pair: Key of the pair.
            stage: What it needs now; '' for nothing.
            version: Of the items of this stage that it needs.
            is_strict: Ask for second opinions of this version only, at the stages after 'mv'.
        """
        unneeded = "answered = '' and not (stage = ? and version = ?)"
        other = "? and stage <> 'mv' and version <> ?"
        self._close_items(f"pair = ? and ({unneeded} or {other})", (pair, stage, version, is_strict, version))

    def close_outdated(self, proposals: Mapping[str, int]) -> None:
        """Ask for no second opinion on masks that are not there any more.

        Args:
            proposals: Pair -> number of its latest proposal, with which the version of its items begins.
        """
        waiting = self._read("select id, pair, version from item where is_open = 1 and answered <> ''")
        for number, pair, version in waiting:
            if version.partition(":")[0] != str(proposals.get(pair, 0)):
                self._close_items("id = ?", (number,))

    def _close_items(self, condition: str, values: tuple) -> None:
        with self._write() as connection:
            connection.execute(f"update item set is_open = 0, free = 0 where is_open = 1 and {condition}", values)

    def forget_pairs(self, pairs: Collection[str]) -> None:
        """Remove items, leases and opinions of pairs whose image is to be forgotten."""
        with self._write(durable=True) as connection:
            for table in ("lease", "opinion"):
                connection.executemany(
                    f"delete from {table} where item in (select id from item where pair = ?)",
                    [(pair,) for pair in pairs],
                )
            connection.executemany("delete from item where pair = ?", [(pair,) for pair in pairs])

    def set_gold(self, item: int, choice: str | None) -> None:
        """Let an item test people from now on, or (None) no more."""
        with self._write(durable=True) as connection:
            connection.execute("update item set gold = ? where id = ?", (choice, item))

    def take_items(
        self,
        person: str,
        stage: str,
        *,
        count: int = 5,
        page: str = "",
        held: Collection[int] = (),
        phrase: str | None = None,
    ) -> list[QueueItem]:
        """Give a person what comes next, and lease it for two minutes.

        Args:
            person: Who asks. Nobody gets an item twice that they have answered.
            stage: 'mv', 'ev' or 'correct'.
            count: How many at most.
            page: Whose leases end together. What this page has leased already and does not hold comes first.
            held: Items that the page has got and not answered.
            phrase: Only items of this phrase.

        Returns:
            Items, the highest priority first. A gold item stands where it does not stand out.
        """
        now = self._clock()
        with self._write() as connection:
            self._end_leases(connection, "until <= ?", (now,))
            [(leased,)] = connection.execute("select count(*) from lease where person = ?", (person,))
            again = self._find_own_leases(connection, person, stage, page, held)
            again = [item for item in again if phrase in (None, item.phrase)][:count]
            room = min(count - len(again), MAX_LEASES - leased)
            new = self._find_next(connection, person, stage, room, phrase) if room > 0 else []
            if new and phrase is None and (gold := self._find_gold(connection, person, stage)):
                new[-1] = gold
            rows = [(item.id, person, page, now + LEASE_SECONDS) for item in (*again, *new)]
            connection.executemany("insert or replace into lease values (?, ?, ?, ?)", rows)
            self._update_free(connection, [item.id for item in new])
        return [*again, *new]

    def _find_own_leases(
        self, connection: sqlite3.Connection, person: str, stage: str, page: str, held: Collection[int]
    ) -> list[QueueItem]:
        rows = connection.execute(
            f"select {ITEM_COLUMNS} from lease join item on item.id = lease.item"
            " where lease.person = ? and lease.page = ? and item.stage = ? order by item.priority desc",
            (person, page, stage),
        )
        return [_mark_gold(item) for item in map(to_queue_item, rows) if item.id not in held]

    def _find_next(
        self, connection: sqlite3.Connection, person: str, stage: str, count: int, phrase: str | None
    ) -> list[QueueItem]:
        """Merge the best items of each set of people who have answered already, so that nothing is looked at twice."""
        values = {"stage": stage, "person": person, "count": count, "phrase": phrase}
        text = _NEXT_ITEMS.format(phrase="" if phrase is None else "and phrase = :phrase")
        found: list[tuple] = []
        for (answered,) in connection.execute(_OPEN_GROUPS, values).fetchall():
            if person not in answered.split(SEPARATOR):
                rows = connection.execute(text, {**values, "answered": answered})
                found += [(row[0], answered, to_queue_item(row[1:])) for row in rows]
        found.sort(key=lambda row: -row[0])
        return [replace(item, drawn="second") if answered else item for _, answered, item in found[:count]]

    def _find_gold(self, connection: sqlite3.Connection, person: str, stage: str) -> QueueItem | None:
        """Return an item with a known answer once in `GOLD_EVERY` answers, where there is one that is new to them."""
        latest = connection.execute(
            "select kind from opinion where person = ? order by id desc limit ?", (person, GOLD_EVERY - 1)
        ).fetchall()
        if len(latest) < GOLD_EVERY - 1 or ("gold",) in latest or self._holds_gold(connection, person):
            return None
        row = connection.execute(
            f"select {ITEM_COLUMNS} from item where stage = ? and gold is not null and free = 0"
            " and not exists (select 1 from opinion where opinion.item = item.id and opinion.person = ?)"
            " and not exists (select 1 from lease where lease.item = item.id and lease.person = ?)"
            " order by id limit 1",
            (stage, person, person),
        ).fetchone()
        return None if row is None else _mark_gold(to_queue_item(row))

    def _holds_gold(self, connection: sqlite3.Connection, person: str) -> bool:
        held = "select 1 from lease join item on item.id = lease.item where lease.person = ? and gold is not null"
        return connection.execute(held, (person,)).fetchone() is not None

    def renew_leases(self, person: str, page: str, items: Collection[int]) -> list[int]:
        """Hold items for two minutes more: the heart-beat of a page.

        Returns:
            Those that the person still holds.
        """
        until = self._clock() + LEASE_SECONDS
        with self._write() as connection:
            return [
                item
                for item in items
                if connection.execute(
                    "update lease set until = ? where item = ? and person = ? and page = ?", (until, item, person, page)
                ).rowcount
            ]

    def release_page(self, person: str, page: str) -> None:
        """Give back all that a page holds, since it closes."""
        with self._write() as connection:
            self._end_leases(connection, "person = ? and page = ?", (person, page))

    def _end_leases(self, connection: sqlite3.Connection, condition: str, values: tuple) -> None:
        ended = connection.execute(f"delete from lease where {condition} returning item", values).fetchall()
        self._update_free(connection, [item for (item,) in ended])

    def keep_opinions(self, person: str, opinions: Sequence[NewOpinion]) -> dict[str, str]:
        """Keep what a person says. It is on the disk when this returns.

        An opinion is kept even when its lease has ended and others have answered: it is a further one then.

        Args:
            person: Who says it.
            opinions: In the order in which they were given.

        Returns:
            Answer id -> 'kept', 'repeated' (it was there), 'answered' (the person had another opinion, which stays)
            or 'unknown' (there is no such item any more).
        """
        with self._write(durable=True) as connection:
            kept = {opinion.answer: self._keep_opinion(connection, person, opinion) for opinion in opinions}
        self._tidy_file()
        return kept

    def _tidy_file(self) -> None:
        """Move what was written into the file itself now and then: here, where nobody waits, not in `take_items`."""
        with self._lock:
            self._calls += 1
            if self._calls % CHECKPOINT_CALLS == 0:
                self._connection.execute("pragma wal_checkpoint(passive)").fetchall()

    def _keep_opinion(self, connection: sqlite3.Connection, person: str, opinion: NewOpinion) -> str:
        if connection.execute("select 1 from opinion where answer = ?", (opinion.answer,)).fetchone():
            return "repeated"
        row = connection.execute("select gold, is_open, wanted from item where id = ?", (opinion.item,)).fetchone()
        if row is None:
            return "unknown"
        gold, is_open, wanted = row  # what an item that became a test still lacks counts as any other answer
        choices = self._read_choices(connection, opinion.item)
        is_enough = not is_open or len(choices) >= count_wanted(choices, wanted)
        kind = _name_kind(is_gold=gold is not None, is_enough=is_enough, is_first=not choices)
        values = (
            *(opinion.answer, opinion.batch or opinion.answer, opinion.item, person, opinion.choice, opinion.reason),
            *(opinion.content, opinion.seconds, self._clock(), kind),
        )
        try:
            connection.execute(
                "insert into opinion(answer, batch, item, person, choice, reason, content, seconds, at, kind)"
                " values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                values,
            )
        except sqlite3.IntegrityError:  # `one_opinion`
            return "answered"
        connection.execute("delete from lease where item = ? and person = ?", (opinion.item, person))
        self._update_free(connection, [opinion.item])
        return "kept"

    def undo_opinions(self, person: str, *, page: str = "") -> list[Opinion]:
        """Take back a person's latest answer, or all answers of its batch, and lease the items to them again.

        Returns:
            What was taken back; nothing when the last 20 answers are all taken back.
        """
        now = self._clock()
        with self._write(durable=True) as connection:
            rows = connection.execute(
                "select batch, is_withdrawn from opinion where person = ? order by id desc limit ?",
                (person, UNDO_LENGTH * MAX_BATCH),
            )
            latest = list(dict(rows).items())[:UNDO_LENGTH]
            batch = next((batch for batch, is_withdrawn in latest if not is_withdrawn), None)
            if batch is None:
                return []
            found = self._find_opinions(connection, "person = ? and batch = ? and is_withdrawn = 0", (person, batch))
            connection.executemany(
                "update opinion set is_withdrawn = 1, withdrawn_at = ? where id = ?",
                [(now, opinion.id) for opinion in found],
            )
            leases = [(opinion.item.id, person, page, now + LEASE_SECONDS) for opinion in found]
            connection.executemany("insert or replace into lease values (?, ?, ?, ?)", leases)
            self._update_free(connection, [opinion.item.id for opinion in found])
        return [replace(opinion, is_withdrawn=True, withdrawn_at=now) for opinion in found]

    def _update_free(self, connection: sqlite3.Connection, items: Iterable[int]) -> None:
        """Count anew how many more people may begin these items, and who has answered them."""
        for item in items:
            row = connection.execute("select is_open, wanted from item where id = ?", (item,)).fetchone()
            if row is None:
                continue
            is_open, wanted = row
            opinions = connection.execute(
                "select person, choice from opinion where item = ? and is_withdrawn = 0", (item,)
            ).fetchall()
            [(leases,)] = connection.execute("select count(*) from lease where item = ?", (item,))
            missing = count_wanted([choice for _, choice in opinions], wanted) - len(opinions) - leases
            connection.execute(
                "update item set free = ?, answered = ? where id = ?",
                (max(0, missing) if is_open else 0, SEPARATOR.join(sorted(person for person, _ in opinions)), item),
            )

    def _read_choices(self, connection: sqlite3.Connection, item: int) -> list[str]:
        rows = connection.execute("select choice from opinion where item = ? and is_withdrawn = 0", (item,))
        return [choice for (choice,) in rows]

    def _find_opinions(self, connection: sqlite3.Connection, condition: str, values: tuple) -> list[Opinion]:
        rows = connection.execute(
            f"select {OPINION_COLUMNS} from opinion join item on item.id = opinion.item"
            f" where {condition} order by opinion.id",
            values,
        )
        return [to_opinion(row) for row in rows]

    def list_unlogged(self, limit: int = 500) -> list[Opinion]:
        """List opinions, and those taken back, that the log of the project does not have yet."""
        with self._lock:
            condition = "opinion.position is null or (opinion.is_withdrawn = 1 and opinion.withdrawal is null)"
            return self._find_opinions(self._connection, f"({condition}) and opinion.id > ?", (0,))[:limit]

    def mark_logged(self, written: Iterable[tuple[int, int, int | None]]) -> None:
        """Note what the log of the project has.

        Args:
            written: Of each opinion: its number, its position there, and that of the entry which takes it back.
        """
        with self._write() as connection:
            connection.executemany(
                "update opinion set position = ?, withdrawal = coalesce(?, withdrawal), content = '' where id = ?",
                [(position, withdrawal, number) for number, position, withdrawal in written],
            )  # masks are in the log alone, which can forget them

    def find_item(self, item: int) -> QueueItem | None:
        """Return an item, or None."""
        rows = self._read(f"select {ITEM_COLUMNS} from item where id = ?", (item,))
        return to_queue_item(rows[0]) if rows else None

    def holds_item(self, person: str, item: int) -> bool:
        """Whether a person may see an item: they have leased it, or have answered it."""
        held = "select 1 from lease where item = ? and person = ?"
        said = "select 1 from opinion where item = ? and person = ?"
        return bool(self._read(f"{held} union {said}", (item, person) * 2))

    def list_opinions(self, *, item: int | None = None, person: str | None = None) -> list[Opinion]:
        """List opinions that are not taken back, oldest first, of an item or a person or of all."""
        condition, values = "opinion.is_withdrawn = 0", list[object]()
        for column, value in (("item", item), ("person", person)):
            if value is not None:
                condition, values = f"{condition} and opinion.{column} = ?", [*values, value]
        with self._lock:
            return self._find_opinions(self._connection, condition, tuple(values))

    def has_open(self, stage: str, pair: str) -> bool:
        """Whether opinions of a pair are missing at a stage."""
        missing = "select 1 from item where pair = ? and stage = ? and is_open = 1 and free > 0"
        held = "select 1 from lease join item on item.id = lease.item where pair = ? and stage = ? and is_open = 1"
        return bool(self._read(f"{missing} union {held}", (pair, stage) * 2))

    def set_sizes(self, sizes: Mapping[int, str]) -> None:
        """Note how large items' masks are, once somebody has looked at them."""
        with self._write() as connection:
            connection.executemany(
                "update item set size = ?1 where id = ?2 and size <> ?1",
                [(size, item) for item, size in sizes.items()],
            )

    def list_answers(self) -> list[Answer]:
        """List all that counts of opinions, for statistics, oldest first."""
        columns = (
            "item.id, stage, pair, phrase, domain, size, person, choice, reason, seconds, kind, gold from opinion"
            " join item on item.id = opinion.item where is_withdrawn = 0 order by opinion.id"
        )
        return [Answer(*row) for row in self._read_aside(f"select {columns}")]

    def count_pairs(self) -> tuple[int, int]:
        """Count the pairs that need a person, and those of them that need MV."""
        open_pairs = "select count(distinct pair) from item where is_open = 1 and (free > 0 or answered = '')"
        return self._read_aside(open_pairs)[0][0], self._read_aside(f"{open_pairs} and stage = 'mv'")[0][0]

    def count_gold(self, stage: str) -> int:
        """Count the items of a stage whose answer is known."""
        return int(self._read("select count(*) from item where stage = ? and gold is not null", (stage,))[0][0])

    def list_pairs(self) -> list[str]:
        """List the keys of all pairs in the queue."""
        return [pair for (pair,) in self._read("select distinct pair from item")]

    def count_open(self) -> dict[str, int]:
        """Count the opinions that are missing, by stage."""
        rows = self._read_aside("select stage, sum(free) from item where free > 0 group by stage")
        held = self._read_aside("select stage, count(*) from lease join item on item.id = lease.item group by stage")
        counts = dict(rows)
        for stage, number in held:
            counts[stage] = counts.get(stage, 0) + number
        return counts


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


def _name_kind(*, is_gold: bool, is_enough: bool, is_first: bool) -> str:
    if is_enough:
        return "gold" if is_gold else "further"
    return "asked" if is_first else "second"


def _mark_gold(item: QueueItem) -> QueueItem:
    return item if item.gold is None else replace(item, drawn="gold")
