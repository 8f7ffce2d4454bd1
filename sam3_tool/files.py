"""Writing a file so that nobody ever reads half of it."""

from pathlib import Path
from secrets import token_hex


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that a reader sees it whole, or the one before it.

    The content is written beside `path` and then moved into its place.

    Safe between threads and processes: the last of several writers wins. Raises OSError, and then leaves nothing.
    """
    unfinished = path.with_name(f".unfinished-{token_hex(8)}")
    try:
        unfinished.write_bytes(content)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
