"""Paths as people write them: `~` is the home folder, which a container may not have, and an empty one is a mistake."""

import os
import re
from contextlib import suppress
from pathlib import Path

from sam3_tool.errors import PathError

HUB_VARIABLES = ("HF_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME")
"""Any of these says where the Hugging Face hub keeps what it downloads."""


def expand_path(text: str | Path) -> Path:
    """Return the path that a person wrote, with the home folder in the place of `~` and `~NAME`.

    Args:
        text: A path. A program that starts another one passes `~` on as it is, and so does a shell after `=`.

    Raises:
        PathError: The path is empty, names the home folder of nobody, or cannot be that of a file.

    Example:
        >>> expand_path("out/kitchen").as_posix()
        'out/kitchen'
    """
    path = str(text)
    if not path.strip():
        raise PathError("the path is empty; is a variable not set? Expected the name of a file or a folder")
    if "\0" in path:
        raise PathError(f"{path!r} is no path: no file can have a NUL character in its name")
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", path):
        raise PathError(f"{path!r} is a URL, and here stands the name of a file or a folder; download it first")
    _check_lengths(path)
    if not path.startswith("~"):
        return Path(text)
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        user = Path(path).parts[0][1:]
        why = f"no user {user!r} is known" if user else "the home folder of this user is not known; set HOME"
        raise PathError(f"{path!r}: {why}, or write ./{path} for a file of that name") from error


def find_home() -> Path | None:
    """Return the home folder of this user, or None if it has none, as in a container with a user of no name."""
    try:
        home = Path.home()
    except RuntimeError:
        return None
    return home if home.is_absolute() else None


def is_folder(path: Path) -> bool:
    """Whether there is such a folder; False also where that cannot be seen, for want of permission."""
    with suppress(OSError):
        return path.is_dir()
    return False


def is_file(path: Path) -> bool:
    """Whether there is such a file; False also where that cannot be seen, for want of permission.

    >>> is_file(Path("/"))
    False
    """
    with suppress(OSError):
        return path.is_file()
    return False


def is_there(path: Path) -> bool:
    """Whether there is a file or a folder; False also where that cannot be seen, for want of permission."""
    with suppress(OSError):
        return path.exists()
    return False


def describe_missing_hub_home() -> str:
    """Say why nothing can be downloaded from the Hugging Face hub; "" where there is a folder for it."""
    if any(os.environ.get(name) for name in HUB_VARIABLES) or find_home() is not None:
        return ""
    return (
        "the home folder of this user is not known, so there is no place for downloads;"
        " set HOME or HF_HOME to a folder that can be written"
    )


def _check_lengths(path: str) -> None:
    """Raise PathError for what no file system takes: such a name would be an OSError wherever it is looked up."""
    if len(os.fsencode(path)) > 4096 or any(len(os.fsencode(part)) > 255 for part in Path(path).parts):
        raise PathError(f"{path[:60]!r}… is no path: it is longer than the name of a file can be")
