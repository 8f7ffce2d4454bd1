"""What changed on the page: only the rows of masks that differ from what the browser shows, and only their fields."""

import json
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any

Row = Mapping[str, Any]


def compute_revision(rows: Sequence[Row]) -> str:
    """Return a short name for these rows: equal rows have equal names.

    >>> compute_revision([{"id": 1}]) == compute_revision([{"id": 1}]) != compute_revision([])
    True
    """
    return blake2b(json.dumps(rows).encode(), digest_size=9).hexdigest()


def describe_change(before: Mapping[str, Any], after: Mapping[str, Any], revision: str) -> dict[str, Any]:
    """Return what the browser needs to show `after`.

    Args:
        before: The state of the canvas before the edits, as `canvas_state` returns it.
        after: The state after them.
        revision: Of the rows that the browser shows. Where they are not those of `before`, all rows are sent.

    Returns:
        `state`: what is to be shown but the rows. `rows`: all rows, or None. `changed`: fields by mask id.
        `gone`: ids. `moved`: whether another image is shown, which the page has to ask for.
    """
    state = {name: value for name, value in after.items() if name not in ("masks", "film")}
    moved = before["key"] != after["key"]
    if moved or before["revision"] != revision:
        return {"state": state, "rows": after["masks"], "changed": {}, "gone": [], "moved": moved}
    was = {row["id"]: row for row in before["masks"]}
    changed = {
        row["id"]: {name: value for name, value in row.items() if was.get(row["id"], {}).get(name) != value}
        for row in after["masks"]
    }
    gone = sorted(was.keys() - changed.keys())
    return {
        "state": state,
        "rows": None,
        "changed": {str(id): fields for id, fields in changed.items() if fields},
        "gone": gone,
        "moved": False,
    }
