"""Names of files that are written, made from names that others chose; and any name on one line of a terminal."""

import re
from unicodedata import category

_FORBIDDEN_LETTERS = '<>:"|?*\\/'
"""What Windows takes in no name, and what separates folders."""
_RESERVED_NAMES = re.compile(
    r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9\u00b9\u00b2\u00b3]) *(\.|$)", re.IGNORECASE
)
"""Devices of Windows, whatever ending they have."""
_MAX_STEM_BYTES, _MAX_SUFFIX_BYTES = 200, 20
"""Bytes of a name in UTF-8, before its last dot and from there: file systems take 255, a format's ending included."""


def sanitize_file_name(name: str, *, default: str = "picture") -> str:
    r"""Return a name that any file system takes, and that leads into no other folder.

    Args:
        name: A file's name; folders before it are left out.
        default: The name where nothing is left.

    Returns:
        The last part of the name. Letters that some system does not take are underscores.

    >>> [sanitize_file_name(name) for name in ("C:\\photos\\a:b.png", "..", "...png", "nul.png", "two\nlines.png")]
    ['a_b.png', 'picture', 'png', '_nul.png', 'two_lines.png']
    """
    last = name.replace("\\", "/").rstrip("/").rpartition("/")[2]
    clean = "".join(letter if letter.isprintable() and letter not in _FORBIDDEN_LETTERS else "_" for letter in last)
    stem, dot, ending = clean.strip(" .").rpartition(".")
    stem, suffix = (stem, dot + ending) if stem else (ending, "")
    short = _truncate_bytes(stem, _MAX_STEM_BYTES) + _truncate_bytes(suffix, _MAX_SUFFIX_BYTES)
    return f"_{short}" if _RESERVED_NAMES.match(short) else short or default


def _truncate_bytes(text: str, most: int) -> str:
    """As many whole letters of its beginning as fit into `most` bytes."""
    return text.encode()[:most].decode(errors="ignore")


def escape_unprintable(text: str) -> str:
    r"""Return a text on one line, with nothing in it that could steer a terminal.

    >>> escape_unprintable("two\nlines \x1b[31m \udcff.png")
    'two\\nlines \\x1b[31m \\udcff.png'
    """
    return "".join(
        letter if _is_harmless(letter) else letter.encode("unicode_escape", "backslashreplace").decode()
        for letter in text
    )


def _is_harmless(letter: str) -> bool:
    """Whether a terminal shows a letter; wide spaces too, and what joins the letters of Persian and of emoji."""
    return letter.isprintable() or letter in "\u200c\u200d" or category(letter) == "Zs"
