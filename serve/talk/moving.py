"""What servers with another number of processes have kept, moved to the files and folders of those that own it now."""

import json
import re
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Any

from agent.core.errors import UsageError
from sam3_tool.system.files import write_atomically
from serve.slots import rank_slots
from serve.talk.conversations import INDEX, read_index
from serve.talk.jobs import lock_file, open_database
from serve.talk.settings import TalkSettings, name_own_file, name_own_folder

_PLACE = re.compile(r"[0-9]{1,4}-of-[0-9]{1,4}")


def move_kept(settings: TalkSettings, count: int) -> int:
    """Move kept jobs and conversations to where `count` processes look for them, before these are started.

    Args:
        settings: Of all processes together.
        count: How many processes there will be; 1 = one without a place among others.

    Returns:
        How many jobs and conversations were moved.

    Raises:
        UsageError: A file cannot be used, or another server uses it.
    """
    moved = 0
    if settings.job_path is not None:
        moved += _move_jobs(settings.job_path, count)
    if settings.conversation_folder is not None:
        moved += _move_conversations(settings.conversation_folder, count)
    return moved


def _move_jobs(path: Path, count: int) -> int:
    targets = [name_own_file(path, number, count) for number in range(count)]
    sources = [found for found in _list_job_files(path) if found not in targets]
    moved = 0
    for source in sources:
        with ExitStack() as held:
            for file in (source, *targets):
                held.callback(lock_file(file).release)
            try:
                moved += _move_job_rows(source, targets)
            except sqlite3.Error as error:
                raise UsageError(f"{source}: its jobs cannot be taken over ({error}); move the file away") from error
            for suffix in ("", "-wal", "-shm"):
                source.with_name(source.name + suffix).unlink(missing_ok=True)
    return moved


def _list_job_files(path: Path) -> Iterator[Path]:
    """The file of one process, and those of processes among several."""
    if path.is_file():
        yield path
    for found in sorted(path.parent.glob(f"{path.stem}-*{path.suffix}")):
        if _PLACE.fullmatch(found.stem.removeprefix(f"{path.stem}-")):
            yield found


def _move_job_rows(source: Path, targets: list[Path]) -> int:
    """Copy every job of a file to that of its owner. A key that is taken there is left out, the job never."""
    with closing(open_database(source)) as old:
        jobs = old.execute("SELECT * FROM jobs").fetchall()
        for job in jobs:
            rows = old.execute("SELECT * FROM results WHERE job = ?", (job["id"],)).fetchall()
            with closing(open_database(targets[_find_owner(job["id"], len(targets))])) as new, new:
                new.execute("BEGIN IMMEDIATE")
                _insert_job(new, dict(job))
                new.executemany("INSERT OR IGNORE INTO results VALUES (?, ?, ?, ?, ?)", [tuple(row) for row in rows])
    return len(jobs)


def _insert_job(new: sqlite3.Connection, job: dict[str, Any]) -> None:
    taken = new.execute("SELECT 1 FROM jobs WHERE tenant = ? AND key = ?", (job["tenant"], job["key"])).fetchone()
    job["key"] = None if taken else job["key"]
    names = ", ".join(job)
    new.execute(
        f"INSERT OR IGNORE INTO jobs ({names}) VALUES ({', '.join('?' * len(job))})",
        tuple(job.values()),
    )


def _move_conversations(folder: Path, count: int) -> int:
    targets = [name_own_folder(folder, number, count) for number in range(count)]
    sources = [folder, *(found for found in sorted(folder.glob("*-of-*")) if _PLACE.fullmatch(found.name))]
    return sum(_move_folder(source, targets) for source in sources if source not in targets)


def _move_folder(source: Path, targets: list[Path]) -> int:
    entries = read_index(source)
    for entry in entries:
        target = targets[_find_owner(entry["id"], len(targets))]
        target.mkdir(parents=True, exist_ok=True, mode=0o700)
        with suppress(FileNotFoundError):
            (source / f"{entry['id']}.json").replace(target / f"{entry['id']}.json")
        others = [other for other in read_index(target) if other["id"] != entry["id"]]
        write_atomically(target / INDEX, json.dumps([*others, entry]).encode())
    (source / INDEX).unlink(missing_ok=True)
    if source.name != source.parent.name and _PLACE.fullmatch(source.name):
        (source / f"{INDEX}.lock").unlink(missing_ok=True)
        with suppress(OSError):
            source.rmdir()
    return len(entries)


def _find_owner(key: str, count: int) -> int:
    return rank_slots(key, count)[0]
