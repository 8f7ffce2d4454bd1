"""The one folder that a server may read and write: no name, no link and no race leads out of it."""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from agent.core.errors import ToolError, UsageError

CAN_WALK = os.open in os.supports_dir_fd
"""Whether files can be opened relative to an open folder; Windows cannot do that."""
# a link is refused, and a pipe does not block; Windows has neither flag
_SAFE = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
_FOLDER = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0)
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL
_WRITING = Lock()
"""Held while a file is written."""
_MAX_SHOWN = 80
"""Letters of a name that an error repeats."""


@dataclass(frozen=True)
class Folder:
    """A folder, and what lies below it.

    A name is resolved first, links included, and then opened step by step, following no link. So whoever exchanges a
    part of the path between the check and its use gets an error, and never a file of elsewhere.
    """

    root: Path
    """Absolute, without a link in it."""
    can_walk: bool = CAN_WALK
    """Whether to go from folder to folder; else a file is opened and then compared with what its name says."""

    @classmethod
    def from_path(cls, path: Path) -> "Folder":
        """Raises UsageError if there is no such folder."""
        try:
            real = path.resolve(strict=True)
        except (OSError, RuntimeError) as error:
            raise UsageError(f"--root: there is no folder {path}") from error
        if not real.is_dir():
            raise UsageError(f"--root: {path} is no folder")
        return cls(real)

    def read_file(self, name: str, *, max_bytes: int) -> bytes:
        """Return what a file holds.

        Args:
            name: A path, relative to the folder, or absolute and inside it.
            max_bytes: Larger files are refused.

        Raises:
            ToolError: The file lies elsewhere, is missing, is no plain file, or is too large.
        """
        parts = self._find_parts(name)
        with _explain_failure(name), self._open_parent(parts) as parent:
            descriptor = self._open_file(parts, os.O_RDONLY, parent)
            with os.fdopen(descriptor, "rb") as file:
                found = os.fstat(descriptor)
                if not stat.S_ISREG(found.st_mode):
                    raise ToolError(f"{_shorten_name(name)} is no file; give the path of an image file.")
                # not by its size alone: it may grow meanwhile
                content = b"" if found.st_size > max_bytes else file.read(max_bytes + 1)
        if max(found.st_size, len(content)) > max_bytes:
            raise ToolError(describe_excess_bytes(max(found.st_size, len(content)), max_bytes))
        return content

    def write_file(self, name: str, content: bytes) -> str:
        """Write a file that is not there yet; folders on the way are made.

        Args:
            name: A path, relative to the folder, or absolute and inside it.
            content: All of the file.

        Returns:
            The path of the file, relative to the folder.

        Raises:
            ToolError: The file is there already, would lie elsewhere, or cannot be written.
        """
        parts = self._find_parts(name)
        with _WRITING, _explain_failure(name), self._open_parent(parts, is_made=True) as parent:
            # under its own name from the beginning: only so can nothing that is there ever be replaced
            descriptor = self._open_file(parts, _NEW, parent)
            try:
                with os.fdopen(descriptor, "wb") as file:
                    file.write(content)
            except BaseException:
                with suppress(OSError):
                    os.unlink(self._get_target(parts, parent), dir_fd=parent)
                raise
        return "/".join(parts)

    def _find_parts(self, name: str) -> tuple[str, ...]:
        """The parts of the path below the folder, without a link in it. Raises ToolError."""
        try:
            real = Path(os.path.realpath(self.root / name))
        except (OSError, ValueError) as error:
            raise ToolError(f"{_shorten_name(name)} cannot be the path of a file.") from error
        if real == self.root or not real.is_relative_to(self.root):
            raise ToolError(
                f"{_shorten_name(name)} is no file inside the folder that this server may use; give a path relative to"
                " that folder, such as 'photos/cat.jpg'."
            )
        return real.relative_to(self.root).parts

    @contextmanager
    def _open_parent(self, parts: tuple[str, ...], *, is_made: bool = False) -> Iterator[int | None]:
        """The descriptor of the folder that the file lies in; None where folders cannot be opened."""
        if not self.can_walk:
            if is_made:
                self.root.joinpath(*parts[:-1]).mkdir(parents=True, exist_ok=True)
            yield None
            return
        folder = os.open(self.root, _FOLDER)
        try:
            for part in parts[:-1]:
                if is_made:
                    with suppress(FileExistsError):
                        os.mkdir(part, dir_fd=folder)
                outer, folder = folder, os.open(part, _FOLDER, dir_fd=folder)
                os.close(outer)
            yield folder
        finally:
            os.close(folder)

    def _get_target(self, parts: tuple[str, ...], parent: int | None) -> str:
        """What to open, seen from `parent`."""
        return parts[-1] if parent is not None else str(self.root.joinpath(*parts))

    def _open_file(self, parts: tuple[str, ...], flags: int, parent: int | None) -> int:
        path = self._get_target(parts, parent)
        descriptor = os.open(path, flags | _SAFE, 0o666, dir_fd=parent)
        if parent is None and not (
            os.path.realpath(path) == path and os.path.samestat(os.fstat(descriptor), os.lstat(path))
        ):
            os.close(descriptor)
            raise OSError(errno.ELOOP, "the path changed meanwhile")
        return descriptor


def wait_for_writes(seconds: float) -> None:
    """Wait until no file is being written any more, and let none begin: the process is about to end."""
    _WRITING.acquire(timeout=seconds)


def describe_excess_bytes(found: int, max_bytes: int) -> str:
    """Say that a file is too large, to whoever can send a smaller one."""
    return (
        f"The file has {found / 2**20:.1f} MiB, and this server takes up to {max_bytes / 2**20:.1f} MiB; make the image"
        " smaller and open it again."
    )


def _shorten_name(name: str) -> str:
    return repr(name if len(name) <= _MAX_SHOWN else f"{name[:_MAX_SHOWN]}…")


@contextmanager
def _explain_failure(name: str) -> Iterator[None]:
    """Turn what the system says into a sentence that names the file only as the caller did. Raises ToolError."""
    shown = _shorten_name(name)
    try:
        yield
    except FileNotFoundError as error:
        raise ToolError(f"There is no file {shown} in the folder of this server; check its path.") from error
    except FileExistsError as error:
        raise ToolError(f"{shown} is there already, and nothing is overwritten; choose another `file`.") from error
    except (IsADirectoryError, NotADirectoryError) as error:
        raise ToolError(f"{shown} is a folder, or leads through a file; give the path of a file.") from error
    except OSError as error:
        raise ToolError(f"{shown} cannot be used: {error.strerror or 'the system refuses it'}.") from error
