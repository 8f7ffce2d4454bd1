"""Text that can be written to a file or sent to a server."""

from typing import overload


@overload
def make_encodable(value: str) -> str: ...
@overload
def make_encodable(value: object) -> object: ...
def make_encodable(value: object) -> object:
    r"""Text with halves of surrogate pairs, which UTF-8 has not and a language model may write, as '?'.

    Anything but text stays as it is, for whoever checks it.

    >>> make_encodable("half a \ud83d pair"), make_encodable(3)
    ('half a ? pair', 3)
    """
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value


JOINERS = "\u200c\u200d"
"""Invisible letters that belong to words: between letters of Persian or Hindi, and within an emoji of several."""


def drop_unprintable(text: str) -> str:
    r"""Text on one line without what is no letter; what joins letters of a word stays.

    >>> drop_unprintable("ripe\n melon\x1b"), len(drop_unprintable("\U0001f469\u200d\U0001f33e"))
    ('ripe melon', 3)
    """
    line = "".join(letter for letter in to_one_line(text) if letter.isprintable() or letter in JOINERS)
    return line.strip(JOINERS)


def to_one_line(text: object) -> str:
    r"""Text, or the message of an error, on one line: every run of white space is one space.

    >>> to_one_line("no capacity\n left")
    'no capacity left'
    """
    return " ".join(str(text).split())
