"""What a user's words choose among the options of a question back."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from agent.query_words import tidy


@dataclass(frozen=True)
class Choice:
    what: Literal["some", "none"]
    ids: tuple[int, ...] = ()
    """Masks, where the options name masks."""
    words: str = ""
    """The option itself, where it names none."""


def option(id: int, phrase: str) -> str:
    """How a mask is offered.

    >>> option(4, "red cup"), masks_of(option(4, "red cup"))
    ('number 4 (red cup)', (4,))
    """
    return f"number {id} ({phrase})" if phrase else f"number {id}"


def masks_of(option: str) -> tuple[int, ...]:
    """The number of the mask that an option offers; () where it offers something else."""
    found = re.match(r"number (\d{1,9})\b", option)
    return (int(found[1]),) if found else ()


def choice(query: str, options: Sequence[str]) -> Choice | None:
    """None where the words choose by something else than place, number, or the option's own words.

    A bare number is a place in the list, where there is such a place; 'number 4' is the mask.

    >>> cups = [option(2, "cup"), option(4, "cup")]
    >>> [choice(words, cups).ids for words in ("The second.", "number 2", "4", "both", "neither of them")]
    [(4,), (2,), (4,), (2, 4), ()]
    >>> choice("the blue one", cups)
    """
    text = _POLITE.sub("", tidy(re.sub(r"#\s*(?=\d)", " number ", query)).strip(" ,"))
    if _NONE.fullmatch(text):
        return Choice("none")
    if _ALL.fullmatch(text) and all(map(masks_of, options)):
        return Choice("some", tuple(id for one in options for id in masks_of(one)))
    places = _places(text, options)
    if not places:
        return None
    if len(places) == 1 and not masks_of(options[places[0]]):
        return Choice("some", words=options[places[0]])
    ids = tuple(id for place in places for id in masks_of(options[place]))
    return Choice("some", ids) if ids else None


_POLITE = re.compile(
    r"^(?:(?:please|ok|okay|well|yes|yeah|i meant?|i want|take|choose|pick|select|it is|use)\b,? ?)+(?=\w)|,? please$"
)
_NONE = re.compile(
    r"(?:no(?:ne|pe)?|neither)(?: of (?:them|these|those|the (?:two|options)))?|no,? thanks?|nothing|cancel"
)
_ALL = re.compile(
    r"(?:both|all|any|either)(?: of (?:them|these|those)| ones| two)?|(?:all|both) the .*|them all|the two"
)
_ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth")
_NUMERALS = ("one", "two", "three", "four", "five", "six")
_PLACE = re.compile(
    rf"(?:the )?(?:(?P<word>option |choice |answer )?(?P<digits>\d{{1,9}})(?P<nth>st|nd|rd|th)?"
    rf"|(?P<ordinal>{'|'.join(_ORDINALS)}|last)"
    rf"|(?:option |choice )?(?P<numeral>{'|'.join(_NUMERALS)}))(?: one| option| choice)?"
)
_MASK = re.compile(r"(?:the )?(?:number|mask|nubmer|no|nr)s? (\d{1,9})(?: .*)?")


def _places(text: str, options: Sequence[str]) -> list[int]:
    """The places, counting from 0, that the text names; [] where it names something else."""
    words = [place for place, one in enumerate(options) if tidy(one) == text]
    if words:
        return words
    places = [_place(part, options) for part in re.split(r",? and |, | or ", text)]
    return [place for place in places if place is not None] if None not in places else []


def _place(text: str, options: Sequence[str]) -> int | None:
    by_number = {id: place for place, one in enumerate(options) for id in masks_of(one)}
    if mask := _MASK.fullmatch(text):
        number = int(mask[1])
        return by_number.get(number, number - 1 if not by_number and number <= len(options) else None)
    found = _PLACE.fullmatch(text)
    if found is None:
        return None
    place = _counted(found, len(options))
    if 1 <= place <= len(options):
        return place - 1
    return by_number.get(place) if found["digits"] and not found["nth"] and not found["word"] else None


def _counted(found: re.Match[str], number: int) -> int:
    """The place, counting from 1, that the words name."""
    if found["digits"]:
        return int(found["digits"])
    if found["ordinal"] == "last":
        return number
    return 1 + (_ORDINALS.index(found["ordinal"]) if found["ordinal"] else _NUMERALS.index(found["numeral"]))
