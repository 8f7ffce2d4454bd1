"""Leases: which items a person gets next, and when these go back to the others."""

import json
import sqlite3
from collections.abc import Collection, Iterable
from dataclasses import replace

from engine.review.queue.opinions import update_free
from engine.review.queue.tables import ITEM_COLUMNS, SEPARATOR, QueueItem, mark_gold, to_queue_item

LEASE_SECONDS = 120.0
"""An item goes back to the others when nothing was heard of its page for so long."""
MAX_LEASES = 96
"""Items that one person may hold: two grids of 24, and as many ahead."""
GOLD_EVERY = 50
"""One answer in so many is of an item whose answer is known."""
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


def lease_items(
    connection: sqlite3.Connection, person: str, page: str, items: Iterable[QueueItem], until: float
) -> None:
    """Hold items for a person, in the place of a lease that they have had."""
    connection.executemany(
        "insert or replace into lease values (?, ?, ?, ?)", [(item.id, person, page, until) for item in items]
    )


def count_new_leases(connection: sqlite3.Connection, items: Iterable[QueueItem]) -> None:
    """Count that one person fewer may begin items which were leased just now."""
    ids = json.dumps([item.id for item in items])
    connection.execute("update item set free = max(0, free - 1) where id in (select value from json_each(?))", (ids,))


def find_own_leases(
    connection: sqlite3.Connection, person: str, stage: str, page: str, held: Collection[int]
) -> list[QueueItem]:
    """Find what a page has leased already and does not hold, and what is still asked: it was loaded again."""
    rows = connection.execute(
        f"select {ITEM_COLUMNS} from lease join item on item.id = lease.item"
        " where lease.person = ? and lease.page = ? and item.stage = ?"
        " and (is_open = 1 or gold is not null) order by item.priority desc",
        (person, page, stage),
    )
    return [mark_gold(item) for item in map(to_queue_item, rows) if item.id not in held]


def find_next_items(
    connection: sqlite3.Connection, person: str, stage: str, count: int, phrase: str | None
) -> list[QueueItem]:
    """Merge the best items of each set of people who have answered already, so that nothing is looked at twice."""
    values = {"stage": stage, "person": person, "count": count, "phrase": phrase}
    text = _NEXT_ITEMS.format(phrase="" if phrase is None else "and phrase = :phrase")
    found: list[tuple] = []
    for (answered,) in connection.execute(_OPEN_GROUPS, values).fetchall():
        if person not in answered.split(SEPARATOR):
            rows = connection.execute(text, {**values, "answered": answered}).fetchall()
            found += [(row[0], answered, to_queue_item(row[1:])) for row in rows]
    found.sort(key=lambda row: -row[0])
    return [replace(item, drawn="second") if answered else item for _, answered, item in found[:count]]


def find_gold_item(connection: sqlite3.Connection, person: str, stage: str) -> QueueItem | None:
    """Return an item with a known answer once in `GOLD_EVERY` answers, where there is one that is new to them."""
    latest = connection.execute(
        "select kind from opinion where person = ? order by id desc limit ?", (person, GOLD_EVERY - 1)
    ).fetchall()
    if len(latest) < GOLD_EVERY - 1 or ("gold",) in latest or _holds_gold(connection, person):
        return None
    row = connection.execute(
        f"select {ITEM_COLUMNS} from item where stage = ? and gold is not null and free = 0"
        " and not exists (select 1 from opinion where opinion.item = item.id and opinion.person = ?)"
        " and not exists (select 1 from lease where lease.item = item.id and lease.person = ?)"
        " order by id limit 1",
        (stage, person, person),
    ).fetchone()
    return None if row is None else mark_gold(to_queue_item(row))


def _holds_gold(connection: sqlite3.Connection, person: str) -> bool:
    held = "select 1 from lease join item on item.id = lease.item where lease.person = ? and gold is not null"
    return connection.execute(held, (person,)).fetchone() is not None


def end_leases(connection: sqlite3.Connection, condition: str, values: tuple) -> None:
    """Give items back to the others."""
    ended = connection.execute(f"delete from lease where {condition} returning item", values).fetchall()
    update_free(connection, [item for (item,) in ended])
