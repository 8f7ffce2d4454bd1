"""New folders that are whole or not there, and long JSON files written piece by piece."""

import json
import shutil
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from engine.errors import EngineError


@contextmanager
def fill_new_folder(folder: Path) -> Iterator[Path]:
    """Give a folder beside `folder` to fill, and move it into its place when the block ends well.

    Args:
        folder: Missing or empty. If the block fails it is as it was, and nothing is left of what was written.

    Raises:
        EngineError: The folder holds something, another export fills it, or it cannot be written.
    """
    if folder.absolute() == Path.cwd() or not folder.name:
        raise EngineError(f"{str(folder)!r} is the folder where you stand, or has no name; name a new folder")
    unfinished = folder.with_name(f".unfinished-{folder.name}")
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise EngineError(f"{folder} is not empty; name a folder that is empty or not there yet")
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _hold_name(folder, unfinished), _clean_afterwards(unfinished):
            unfinished.mkdir()
            yield unfinished
            if folder.exists():
                folder.rmdir()
            unfinished.rename(folder)
    except OSError as error:
        raise _describe_failure(folder, error.strerror or str(error)) from error
    except sqlite3.OperationalError as error:
        raise _describe_failure(folder, str(error)) from error


@contextmanager
def _hold_name(folder: Path, unfinished: Path) -> Iterator[None]:
    """Let one export at a time fill a folder. Raises EngineError where another one does."""
    lock = FileLock(unfinished.with_name(f"{unfinished.name}.lock"))
    try:
        lock.acquire(blocking=False)
    except Timeout as error:
        raise EngineError(
            f"another export fills {folder} just now; wait for its end, or name another folder"
        ) from error
    try:
        yield
    finally:
        with suppress(OSError):
            Path(lock.lock_file).unlink()
        lock.release()


@contextmanager
def _clean_afterwards(unfinished: Path) -> Iterator[None]:
    """Remove what an export that was killed left, and what this one leaves if it fails."""
    shutil.rmtree(unfinished, ignore_errors=True)
    try:
        yield
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _describe_failure(folder: Path, reason: str) -> EngineError:
    return EngineError(
        f"{folder} cannot be written ({reason}); make room or name another folder, nothing is left there"
    )


def write_json_object(
    path: Path, values: Mapping[str, Any], lists: Mapping[str, Iterable[Any]], *, is_one_line: bool = False
) -> None:
    """Write a JSON object with long lists, an entry of which is in memory at a time.

    Args:
        path: The file.
        values: What it holds first.
        lists: What it holds then: names with the entries of each.
        is_one_line: Write no entry on a line of its own: the file is as `json.dumps` would write it.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp(), "a.json")
    >>> write_json_object(path, {"info": 1}, {"images": iter([2, 3]), "annotations": []})
    >>> json.loads(path.read_text())
    {'info': 1, 'images': [2, 3], 'annotations': []}
    """
    begin, between, end = ("", ", ", "}") if is_one_line else ("\n", ",\n", "}\n")
    with path.open("w", encoding="utf-8") as file:
        head = json.dumps(dict(values), ensure_ascii=False)
        file.write(head[:-1])
        for number, (name, entries) in enumerate(lists.items()):
            file.write(f"{', ' if values or number else ''}{json.dumps(name)}: [")
            for place, entry in enumerate(entries):
                file.write((between if place else begin) + json.dumps(entry, ensure_ascii=False))
            file.write("]")
        file.write(end)
