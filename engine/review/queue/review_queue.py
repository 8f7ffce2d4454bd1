"""The review queue: who looks at what now, and what they said. One process writes it; answers are never overwritten."""

import json
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from engine.review.queue import opinions as opinion_rows
from engine.review.queue.file import QueueFile
from engine.review.queue.leases import (
    LEASE_SECONDS,
    MAX_LEASES,
    count_new_leases,
    end_leases,
    find_gold_item,
    find_next_items,
    find_own_leases,
    lease_items,
)
from engine.review.queue.opinions import OpinionChoice, find_opinions, insert_opinions, update_free, withdraw_latest
from engine.review.queue.tables import (
    ITEM_COLUMNS,
    NO_MASK,
    Answer,
    NewItem,
    NewOpinion,
    Opinion,
    QueueItem,
    to_queue_item,
)


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
        self._file = QueueFile(path)
        self._clock = clock

    def close(self) -> None:
        """Close the file."""
        self._file.close()

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
        with self._file.write(durable=True) as connection:
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
            update_free(connection, found)
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
        waiting = self._file.read("select id, pair, version from item where is_open = 1 and answered <> ''")
        for number, pair, version in waiting:
            if version.partition(":")[0] != str(proposals.get(pair, 0)):
                self._close_items("id = ?", (number,))

    def close_earlier(self, pair: str, proposal: int) -> None:
        """Ask about no masks of a pair but those of its latest proposal; what is being answered is still kept."""
        self._close_items("pair = ? and version <> ? and version not like ?", (pair, str(proposal), f"{proposal}:%"))

    def _close_items(self, condition: str, values: tuple) -> None:
        with self._file.write() as connection:
            connection.execute(f"update item set is_open = 0, free = 0 where is_open = 1 and {condition}", values)

    def forget_pairs(self, pairs: Collection[str]) -> None:
        """Remove items, leases and opinions of pairs whose image is to be forgotten."""
        with self._file.write(durable=True) as connection:
            for table in ("lease", "opinion"):
                connection.executemany(
                    f"delete from {table} where item in (select id from item where pair = ?)",
                    [(pair,) for pair in pairs],
                )
            connection.executemany("delete from item where pair = ?", [(pair,) for pair in pairs])

    def set_gold(self, item: int, choice: str | None) -> None:
        """Let an item test people from now on, or (None) no more."""
        with self._file.write(durable=True) as connection:
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
        with self._file.write() as connection:
            # none lasts longer than two minutes but where the clock was set back
            end_leases(connection, "until <= ? or until > ?", (now, now + 1.5 * LEASE_SECONDS))
            [(leased,)] = connection.execute("select count(*) from lease where person = ?", (person,))
            again = find_own_leases(connection, person, stage, page, held)
            again = [item for item in again if phrase in (None, item.phrase)][:count]
            room = min(count - len(again), MAX_LEASES - leased)
            new = find_next_items(connection, person, stage, room, phrase) if room > 0 else []
            if new and phrase is None and (gold := find_gold_item(connection, person, stage)):
                new[-1] = gold
            lease_items(connection, person, page, (*again, *new), now + LEASE_SECONDS)
            count_new_leases(connection, new)
        return [*again, *new]

    def renew_leases(self, person: str, page: str, items: Collection[int]) -> list[int]:
        """Hold items for two minutes more: the heart-beat of a page.

        Returns:
            Those that the person still holds.
        """
        until, ids = self._clock() + LEASE_SECONDS, json.dumps([*items])
        with self._file.write() as connection:
            rows = connection.execute(
                "update lease set until = ? where person = ? and page = ? and item in (select value from json_each(?))"
                " returning item",
                (until, person, page, ids),
            ).fetchall()
        held = {item for (item,) in rows}
        return [item for item in items if item in held]

    def release_page(self, person: str, page: str) -> None:
        """Give back all that a page holds, since it closes."""
        with self._file.write() as connection:
            end_leases(connection, "person = ? and page = ?", (person, page))

    def count_elsewhere(self, person: str, stage: str, page: str) -> int:
        """Count the open items that other pages hold, and that a person would get if these fell silent."""
        text = (
            "select count(distinct item.id) from lease join item on item.id = lease.item where item.stage = ?"
            " and is_open = 1 and not (lease.person = ? and lease.page = ?)"
            " and not exists (select 1 from opinion where opinion.item = item.id and opinion.person = ?)"
        )
        return int(self._file.read(text, (stage, person, page, person))[0][0])

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
        with self._file.write(durable=True) as connection:
            return insert_opinions(connection, person, opinions, self._clock())

    def undo_opinions(self, person: str, *, page: str = "") -> list[Opinion]:
        """Take back a person's latest answer, or all answers of its batch, and lease the items to them again.

        Returns:
            What was taken back; nothing when the last 20 answers are all taken back.
        """
        now = self._clock()
        with self._file.write(durable=True) as connection:
            found = withdraw_latest(connection, person, now)
            items = [opinion.item for opinion in found]
            lease_items(connection, person, page, items, now + LEASE_SECONDS)
            update_free(connection, [item.id for item in items])
        return [replace(opinion, is_withdrawn=True, withdrawn_at=now) for opinion in found]

    def withdraw_opinions(self, chosen: OpinionChoice) -> list[Opinion]:
        """Take back answers of a person, however many they are; their items wait for somebody again.

        Args:
            chosen: Which ones.

        Returns:
            What was taken back, oldest first.
        """
        now = self._clock()
        with self._file.write(durable=True) as connection:
            found = opinion_rows.withdraw_chosen(connection, chosen, now)
            update_free(connection, {opinion.item.id for opinion in found})
        return [replace(opinion, is_withdrawn=True, withdrawn_at=now) for opinion in found]

    def count_answers(self) -> dict[str, int]:
        """Count each person's answers that are not taken back."""
        return dict(self._file.read("select person, count(*) from opinion where is_withdrawn = 0 group by person"))

    def list_unlogged(self, limit: int = 500) -> list[Opinion]:
        """List opinions, and those taken back, that the log of the project does not have yet."""
        condition = "opinion.position is null or (opinion.is_withdrawn = 1 and opinion.withdrawal is null)"
        with self._file.hold() as connection:
            return find_opinions(connection, f"({condition}) and opinion.id > 0", (), limit)

    def mark_logged(self, written: Iterable[tuple[int, int, int | None]]) -> None:
        """Note what the log of the project has.

        Args:
            written: Of each opinion: its number, its position there, and that of the entry which takes it back.
        """
        with self._file.write() as connection:
            opinion_rows.mark_logged(connection, written)

    def find_item(self, item: int) -> QueueItem | None:
        """Return an item, or None."""
        rows = self._file.read(f"select {ITEM_COLUMNS} from item where id = ?", (item,))
        return to_queue_item(rows[0]) if rows else None

    def holds_item(self, person: str, item: int) -> bool:
        """Whether a person may see an item: they have leased it, or have answered it."""
        held = "select 1 from lease where item = ? and person = ?"
        said = "select 1 from opinion where item = ? and person = ?"
        return bool(self._file.read(f"{held} union {said}", (item, person) * 2))

    def list_opinions(self, *, item: int | None = None, person: str | None = None) -> list[Opinion]:
        """List opinions that are not taken back, oldest first, of an item or a person or of all."""
        condition, values = "opinion.is_withdrawn = 0", list[object]()
        for column, value in (("item", item), ("person", person)):
            if value is not None:
                condition, values = f"{condition} and opinion.{column} = ?", [*values, value]
        with self._file.hold() as connection:
            return find_opinions(connection, condition, tuple(values))

    def has_open(self, stage: str, pair: str) -> bool:
        """Whether opinions of a pair are missing at a stage."""
        missing = "select 1 from item where pair = ? and stage = ? and is_open = 1 and free > 0"
        held = "select 1 from lease join item on item.id = lease.item where pair = ? and stage = ? and is_open = 1"
        return bool(self._file.read(f"{missing} union {held}", (pair, stage) * 2))

    def set_sizes(self, sizes: Mapping[int, str]) -> None:
        """Note how large items' masks are, once somebody has looked at them."""
        with self._file.write() as connection:
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
        return [Answer(*row) for row in self._file.read_aside(f"select {columns}")]

    def count_pairs(self) -> tuple[int, int]:
        """Count the pairs that need a person, and those of them that need MV."""
        open_pairs = "select count(distinct pair) from item where is_open = 1 and (free > 0 or answered = '')"
        return self._file.read_aside(open_pairs)[0][0], self._file.read_aside(f"{open_pairs} and stage = 'mv'")[0][0]

    def count_gold(self, stage: str) -> int:
        """Count the items of a stage whose answer is known."""
        return int(self._file.read("select count(*) from item where stage = ? and gold is not null", (stage,))[0][0])

    def list_pairs(self) -> list[str]:
        """List the keys of all pairs in the queue."""
        return [pair for (pair,) in self._file.read("select distinct pair from item")]

    def count_open(self) -> dict[str, int]:
        """Count the opinions that are missing, by stage."""
        rows = self._file.read_aside("select stage, sum(free) from item where free > 0 group by stage")
        held = self._file.read_aside(
            "select stage, count(*) from lease join item on item.id = lease.item group by stage"
        )
        counts = dict(rows)
        for stage, number in held:
            counts[stage] = counts.get(stage, 0) + number
        return counts
