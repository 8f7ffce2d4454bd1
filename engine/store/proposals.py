"""Proposals: masks in files, where each of them lies in the database, both or neither."""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from engine.errors import EngineError, EngineInterruptedError
from engine.pairs import Proposal, Reproposal
from engine.store.database import EngineDatabase
from engine.store.log import append_entries
from engine.store.shards import close_shards, read_proposals, write_shard
from sam3_tool.system.unfinished_files import clear_leftovers

KEYS_AT_A_TIME = 512
PlaceKey = TypeVar("PlaceKey")


@dataclass(frozen=True)
class Place:
    """Where the latest proposal for a pair lies."""

    shard: str
    row: int
    masks: int
    """How many it has."""
    made_by: str


def find_places(database: EngineDatabase, keys: Sequence[str]) -> dict[str, Place]:
    """Return where the latest proposals lie, by the pair's key."""
    places: dict[str, Place] = {}
    for start in range(0, len(keys), KEYS_AT_A_TIME):
        part = keys[start : start + KEYS_AT_A_TIME]
        with database.read() as connection:
            rows = connection.execute(
                "SELECT pair, shard, row, masks, made_by FROM proposals"
                f" WHERE pair IN ({','.join('?' * len(part))}) ORDER BY id",
                part,
            ).fetchall()
        places |= {pair: Place(*place) for pair, *place in rows}
    return places


def find_numbered_places(database: EngineDatabase, numbers: Iterable[int]) -> dict[int, Place]:
    """Return where proposals lie, earlier ones too, by their number in the database."""
    marks = json.dumps([*numbers])
    with database.read() as connection:
        rows = connection.execute(
            "SELECT id, shard, row, masks, made_by FROM proposals WHERE id IN (SELECT value FROM json_each(?))",
            (marks,),
        ).fetchall()
    return {number: Place(*place) for number, *place in rows}


def read_places(folder: Path, places: Mapping[PlaceKey, Place]) -> dict[PlaceKey, Proposal]:
    """Read proposals from their files, by the pair's key, or by their number. Raises EngineError."""
    by_shard: defaultdict[str, dict[int, PlaceKey]] = defaultdict(dict)
    for key, place in places.items():
        by_shard[place.shard][place.row] = key
    found: dict[PlaceKey, Proposal] = {}
    for shard in by_shard:
        for row, proposal in read_proposals(folder / shard, [*by_shard[shard]]).items():
            found[by_shard[shard][row]] = proposal
    return found


def add_proposals(database: EngineDatabase, folder: Path, found: Sequence[Proposal], *, at: float) -> int:
    """Write proposals into a new file, and then where they lie; a file that the database does not know is no proposal.

    Returns:
        How many pairs have other masks than before.

    Raises:
        EngineError: A pair is not there, or has two proposals, or nothing can be written.
    """
    if not found:
        return 0
    images = _find_images(database, [proposal.pair for proposal in found])
    earlier = read_places(folder, find_places(database, [*images]))
    again = [
        build_reproposal(earlier[proposal.pair], proposal, at=at) for proposal in found if proposal.pair in earlier
    ]
    try:
        shard = write_shard(folder, [(images[proposal.pair], proposal) for proposal in found])
    except OSError as error:
        raise EngineInterruptedError(
            f"{folder} cannot be written ({error.strerror or error}); make room and run the same command again, what is"
            " done is kept"
        ) from error
    with database.write() as connection:
        append_entries(database, again)
        connection.executemany(
            "INSERT INTO proposals (pair, shard, row, masks, made_by) VALUES (?, ?, ?, ?, ?)",
            [(proposal.pair, shard, row, len(proposal.masks), proposal.made_by) for row, proposal in enumerate(found)],
        )
    return sum(reproposal.moved != tuple(range(reproposal.count)) for reproposal in again)


def build_reproposal(earlier: Proposal, later: Proposal, *, at: float) -> Reproposal:
    """Say which masks of a proposal are there again, pixel by pixel, in a later one."""
    places = {mask: index for index, mask in enumerate(later.masks)}
    moved = tuple(places.get(mask) for mask in earlier.masks)
    return Reproposal(pair=later.pair, moved=moved, count=len(later.masks), made_by=later.made_by, at=at)


def _find_images(database: EngineDatabase, keys: Sequence[str]) -> dict[str, str]:
    """Return the images of pairs, by the pair's key. Raises EngineError."""
    if len({*keys}) != len(keys):
        raise EngineError("a pair has two proposals at once; give the better one of them")
    images: dict[str, str] = {}
    for start in range(0, len(keys), KEYS_AT_A_TIME):
        part = keys[start : start + KEYS_AT_A_TIME]
        with database.read() as connection:
            query = f"SELECT key, image FROM pairs WHERE key IN ({','.join('?' * len(part))})"
            images |= dict(connection.execute(query, part).fetchall())
    if missing := [key for key in keys if key not in images]:
        raise EngineError(f"there is no pair {missing[0]!r} in this engine; its image may have been forgotten")
    return images


def remove_unknown_shards(database: EngineDatabase, folder: Path) -> None:
    """Remove files that were written when the program was killed before it could say that they are there."""
    clear_leftovers(folder)
    with database.read() as connection:
        known = {shard for (shard,) in connection.execute("SELECT DISTINCT shard FROM proposals")}
    for path in folder.glob("proposals-*.parquet"):
        if path.name not in known:
            with suppress(OSError):
                path.unlink()
    close_shards()
