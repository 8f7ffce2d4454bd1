"""Files and folders that are not finished yet, and clearing away those that killed processes left.

Whatever is not finished has a name of its own, ".unfinished-HOST-TOKEN", and a lock that the system takes back when its
process ends, however that ends. A name that nobody holds is a leftover. Windows neither moves nor removes a file that
is open, so there nothing is held, and a leftover is what is old.
"""

import os
import platform
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from secrets import token_hex

try:
    import fcntl  # filelock does the same, but takes a tenth of a second to import
except ModuleNotFoundError:  # Windows
    CAN_LOCK = False
else:
    CAN_LOCK = True

PREFIX = ".unfinished-"
LOCK_SUFFIX = ".lock"
"""Ending of the file that holds an unfinished folder, which lies beside it."""
_OWN_NAME = re.compile(rf"{re.escape(PREFIX)}[0-9a-f]{{8}}-[0-9a-f]{{16}}({re.escape(LOCK_SUFFIX)})?")
FOREIGN_AGE = 86_400.0
"""Seconds after which something unfinished counts as left although another machine made it.

A file system may keep each machine's locks from the others.
"""


@contextmanager
def make_unfinished_folder(folder: Path) -> Iterator[Path]:
    """Make a folder inside `folder` to prepare files in, and remove it at the end.

    Moving a file out of it into `folder` is one atomic step of the file system. Raises OSError if it cannot be made.
    """
    clear_leftovers(folder)
    unfinished = build_unfinished_path(folder)
    with hold_file(unfinished.with_name(unfinished.name + LOCK_SUFFIX)):
        try:
            unfinished.mkdir()
            yield unfinished
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)


def clear_leftovers(folder: Path) -> None:
    """Remove what killed processes left unfinished in a folder, and never what a living one is writing.

    What cannot be removed stays, without an error.
    """
    with suppress(OSError):
        for path in sorted(folder.glob(f"{PREFIX}*")):
            if not _OWN_NAME.fullmatch(path.name):  # somebody else's, whatever it is
                continue
            with suppress(OSError):
                if path.is_dir() and not path.is_symlink():
                    _remove_unheld_folder(path)
                else:
                    _remove_unheld_file(path)


@lru_cache(maxsize=4096)
def clear_folder_once(folder: Path) -> None:
    """Clear a folder before this process writes its first file there: a cache is written to thousands of times."""
    clear_leftovers(folder)


@lru_cache(maxsize=1)
def _get_host_tag() -> str:
    return sha256(platform.node().encode()).hexdigest()[:8]


def build_unfinished_path(folder: Path) -> Path:
    return folder / f"{PREFIX}{_get_host_tag()}-{token_hex(8)}"


@contextmanager
def hold_file(path: Path) -> Iterator[None]:
    """Make a file and hold it locked; at the end it is gone, unless it was moved. Raises OSError."""
    with _lock_file(path, os.O_RDWR | os.O_CREAT | os.O_EXCL):
        try:
            yield
        finally:
            with suppress(OSError):
                path.unlink(missing_ok=True)


@contextmanager
def _lock_file(path: Path, flags: int) -> Iterator[bool]:
    """Open a file and lock it; yield False where another process holds it. Raises OSError.

    False also where the file system has no locks: then nobody can lock the file to remove it, either.
    """
    descriptor = os.open(path, flags, 0o666)
    if not CAN_LOCK:
        os.close(descriptor)
        yield True
        return
    try:
        yield _lock_descriptor(descriptor)
    finally:
        os.close(descriptor)


def _lock_descriptor(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _remove_unheld_file(path: Path) -> None:
    """Remove a file that no process holds, and the folder that it stands for. Raises OSError."""
    if not _may_be_left(path):
        return
    no_surprise = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)  # Windows has neither
    with _lock_file(path, os.O_RDWR | no_surprise) as is_unheld:
        if is_unheld:
            if path.name.endswith(LOCK_SUFFIX):
                shutil.rmtree(path.with_name(path.name.removesuffix(LOCK_SUFFIX)), ignore_errors=True)
            path.unlink(missing_ok=True)


def _remove_unheld_folder(path: Path) -> None:
    """Remove a folder that has no lock beside it, if it is old. Raises OSError."""
    if not path.with_name(path.name + LOCK_SUFFIX).exists() and _is_old(path):
        shutil.rmtree(path)


def _may_be_left(path: Path) -> bool:
    """Whether the lock of an unfinished file can be trusted to say that nobody writes it."""
    return (CAN_LOCK and path.name.startswith(f"{PREFIX}{_get_host_tag()}-")) or _is_old(path)


def _is_old(path: Path) -> bool:
    return time.time() - path.lstat().st_mtime > FOREIGN_AGE
