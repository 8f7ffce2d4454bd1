"""Files: written so that nobody ever reads half of one, and text read in the encodings that editors save."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sam3_tool.system.unfinished_files import build_unfinished_path, clear_folder_once, hold_file


def decode_text(content: bytes, errors: str = "strict") -> str:
    """Decode a file's text: UTF-8, UTF-16 or UTF-32, with a byte-order mark or without.

    Args:
        content: What the file holds.
        errors: How letters that are none are handled, as `bytes.decode` takes it.

    Returns:
        The text, without a byte-order mark.

    Raises:
        UnicodeDecodeError: It is in another encoding.

    >>> decode_text("a".encode("utf-8-sig")), decode_text("a".encode("utf-16"))
    ('a', 'a')
    """
    return content.decode(json.detect_encoding(content), errors).removeprefix("\ufeff")


def decode_json(content: bytes) -> Any:
    """Parse a JSON file: the one way in which the product reads JSON that a person may have written or saved.

    Args:
        content: What the file holds, encoded as `decode_text` takes it.

    Returns:
        The value.

    Raises:
        ValueError: It is not JSON.
        RecursionError: It is nested too deeply.

    >>> decode_json('{"a": 1}'.encode("utf-8-sig"))
    {'a': 1}
    """
    return json.loads(decode_text(content, "surrogatepass"))


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that a reader sees it whole, or the one before it.

    The content is written beside `path` and then moved into its place.

    Safe between threads and processes: the last of several writers wins. Raises OSError, and then leaves nothing.
    """
    with replace_atomically(path) as unfinished:
        # written and closed here: some file systems say only on closing that there is no room
        unfinished.write_bytes(content)


@contextmanager
def replace_atomically(path: Path) -> Iterator[Path]:
    """Give a file beside `path` to write and close, and move it into its place when the block ends well.

    It is `write_atomically` for what is written piece by piece.
    """
    clear_folder_once(path.parent)
    unfinished = build_unfinished_path(path.parent)
    with hold_file(unfinished):
        yield unfinished
        unfinished.replace(path)
