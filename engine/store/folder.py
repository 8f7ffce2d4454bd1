"""What lies in the folder of a data engine, who may write there, and on which kind of disk it may lie."""

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Literal

from filelock import FileLock, Timeout

from engine.errors import EngineError

DATABASE_FILE = "engine.sqlite"
MASKS_FOLDER = "masks"
COPIES_FOLDER = "images"
"""Copies of images that lay packed in archives; all other images stay where they are."""
LOCK_FILE, REVIEW_LOCK_FILE = "engine.lock", "review.lock"
"""Who holds the first may propose and change what is asked; who holds the second may let people review."""
Task = Literal["all", "work", "review"]
"""What a process does in a folder: "work" of one process and "review" of another one go on at the same time."""
MOUNTS_FILE = Path("/proc/self/mountinfo")
"""Where Linux lists its file systems; other systems have no such file, and there nothing is refused."""
NETWORK_FILE_SYSTEMS = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "ceph", "glusterfs", "lustre", "gpfs", "beegfs", "davfs"}
    | {"fuse.sshfs", "fuse.rclone", "fuse.glusterfs", "fuse.s3fs", "fuse.gcsfuse", "fuse.davfs2", "fuse.cephfs"}
)
"""Where SQLite's locks do not hold between machines, or its write-ahead log is not shared."""


def find_file_system(folder: Path, mounts: Iterable[str]) -> str:
    """Find on which kind of file system a folder lies.

    Args:
        folder: An absolute path, without links.
        mounts: Lines as Linux writes them into /proc/self/mountinfo.

    Returns:
        E.g. "ext4" or "nfs4"; "" where no line fits.

    >>> find_file_system(Path("/data/a"), ["21 1 8:1 / / rw - ext4 /dev/sda1 rw", "22 21 0:9 / /data rw - nfs4 h:/ rw"])
    'nfs4'
    """
    found, length = "", -1
    for line in mounts:
        place, separator, kind = line.partition(" - ")
        fields = place.split(" ")
        if not separator or len(fields) < 5:
            continue
        point = Path(_decode_escapes(fields[4]))
        # of two file systems at one place, the later one hides the other
        if (folder == point or point in folder.parents) and len(point.parts) >= length:
            found, length = kind.split(" ")[0], len(point.parts)
    return found


def _decode_escapes(text: str) -> str:
    """Decode a path in which a space is written as backslash 040."""
    for number in (0o40, 0o11, 0o12, 0o134):
        text = text.replace(f"\\{number:03o}", chr(number))
    return text


def check_disk(folder: Path, mounts: Iterable[str] | None = None) -> None:
    """Refuse a folder on a network drive.

    Args:
        folder: A folder, which need not be there yet.
        mounts: As for `find_file_system`; left out, those of this system.

    Raises:
        EngineError: It lies on one.
    """
    if mounts is None:
        mounts = ()
        with suppress(OSError):
            mounts = MOUNTS_FILE.read_text(errors="surrogateescape").splitlines()
    kind = find_file_system(folder.resolve(), mounts)
    if kind in NETWORK_FILE_SYSTEMS:
        raise EngineError(
            f"{folder} lies on a network drive ({kind}), where the database of a data engine would be damaged; take a"
            " folder on a disk of this machine"
        )


def acquire_locks(folder: Path, task: Task = "all") -> list[FileLock]:
    """Take the folder for this process, which alone may do its task there until the locks are released.

    Args:
        folder: Of a data engine.
        task: What the process is to do; "all" leaves no room for others.

    Raises:
        EngineError: Another process does the same, or no file can be written there.
    """
    locks: list[FileLock] = []
    try:
        if task != "review":
            locks.append(_acquire_lock(folder, LOCK_FILE))
        if task != "work":
            locks.append(_acquire_lock(folder, REVIEW_LOCK_FILE))
    except BaseException:
        release_locks(locks)
        raise
    return locks


def release_locks(locks: Iterable[FileLock]) -> None:
    """Let other processes do what this one did."""
    for lock in locks:
        lock.release()


def _acquire_lock(folder: Path, name: str) -> FileLock:
    lock = FileLock(folder / name, thread_local=False)
    try:
        lock.acquire(blocking=False)
    except Timeout as error:
        raise EngineError(_DESCRIPTIONS[name].format(folder=folder)) from error
    except OSError as error:
        raise describe_os_error(folder, error) from error
    return lock


_DESCRIPTIONS = {
    LOCK_FILE: (
        "another process works on {folder} (a run, a review that fits anew, or init, fit, audit, forget), and only one"
        " may at a time; let it end, or stop it with Ctrl-C first: nothing is lost, and the same command goes on."
        " status, export and one review work meanwhile"
    ),
    REVIEW_LOCK_FILE: (
        "another process lets people review {folder}, and only one may; use its page, or stop it with Ctrl-C first:"
        " nothing is lost. init, run, status and export work meanwhile"
    ),
}


def is_copy(folder: Path, path: Path) -> bool:
    """Return whether a file is a copy of the engine's own, which goes when its image is forgotten.

    >>> is_copy(Path("/engine"), Path("/engine/images/a.tar/1.png")), is_copy(Path("/engine"), Path("/photos/1.png"))
    (True, False)
    """
    return (folder / COPIES_FOLDER).absolute() in path.parents


def remove_copies(folder: Path, paths: Iterable[Path]) -> tuple[Path, ...]:
    """Remove those of these files that are copies of the engine's own; return them, also those that were gone.

    Raises:
        EngineError: One cannot be removed.
    """
    copies = tuple(path for path in paths if is_copy(folder, path))
    try:
        for path in copies:
            path.unlink(missing_ok=True)
    except OSError as error:
        raise describe_os_error(folder, error) from error
    return copies


def describe_os_error(folder: Path, error: OSError) -> EngineError:
    """Say in one line why a folder cannot be used."""
    reason = os.strerror(error.errno) if error.errno else str(error)
    return EngineError(f"{folder} cannot be written ({reason}); make room, or let this user write there")
