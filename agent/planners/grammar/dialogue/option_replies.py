"""What a user's words choose among the options of a question back."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from agent.planners.grammar.compiler import ReferenceContext
from agent.planners.grammar.dialogue.utterances import parse_utterance
from agent.planners.grammar.interpretation import compile_phrase, drop_count
from agent.planners.grammar.parsing.syntax import QuerySyntaxError
from agent.planners.grammar.plan import Difference, MaskIds, Plan, Union, Unique, is_compared_to, source_set, walk_parts
from agent.planners.grammar.text.plain_text import normalize_query
from agent.planners.grammar.vocabulary import NUMERALS, ORDINALS


@dataclass(frozen=True)
class OptionChoice:
    """Some of the options, or none of them."""

    what: Literal["some", "none"]
    ids: tuple[int, ...] = ()
    """Masks, where the options name masks."""
    words: str = ""
    """The option itself, where it names none."""


def describe_option(id: int, phrase: str) -> str:
    """Return how a mask is offered.

    >>> describe_option(4, "red cup"), find_masks(describe_option(4, "red cup"))
    ('number 4 (red cup)', (4,))
    """
    return f"number {id} ({phrase})" if phrase else f"number {id}"


def find_masks(option: str) -> tuple[int, ...]:
    """Return the id of the mask that an option offers; () where it offers something else."""
    found = re.match(r"number (\d{1,9})\b", option)
    return (int(found[1]),) if found else ()


def choose_option(query: str, options: Sequence[str]) -> OptionChoice | None:
    """Return what the words choose by place, number or the option's own words; None where they do by anything else.

    A bare number is a place in the list, where there is such a place; 'number 4' is the mask.

    >>> cups = [describe_option(2, "cup"), describe_option(4, "cup")]
    >>> [choose_option(words, cups).ids for words in ("The second.", "number 2", "4", "both", "neither of them")]
    [(4,), (2,), (4,), (2, 4), ()]
    >>> choose_option("the blue one", cups)
    """
    # "#2" is number 2; a sign is no word of plain text
    text = _POLITE.sub("", normalize_query(re.sub(r"#\s*(?=\d)", " number ", query)).strip(" ,"))
    if _NONE.fullmatch(text):
        return OptionChoice("none")
    if _ALL.fullmatch(text) and all(map(find_masks, options)):
        return OptionChoice("some", tuple(id for option in options for id in find_masks(option)))
    places = _find_places(text, options)
    if not places:
        return None
    if len(places) == 1 and not find_masks(options[places[0]]):
        return OptionChoice("some", words=options[places[0]])
    ids = tuple(id for place in places for id in find_masks(options[place]))
    return OptionChoice("some", ids) if ids else None


def choose_by_description(
    query: str, options: Sequence[str], find_phrases: Callable[[Sequence[int]], tuple[str, ...]]
) -> Plan | None:
    """Return which masks are meant by 'the red one', 'not the left one'; None where the query is no such reply.

    `find_phrases`: tells what masks were found by.
    """
    ids, said = tuple(id for option in options for id in find_masks(option)), parse_utterance(query)
    if not ids or said.change not in (None, "keep", "remove"):
        return None
    offered = MaskIds(ids, find_phrases(ids))
    try:
        meant = compile_phrase(said.rest, ReferenceContext(offered, offered, offered))
    except QuerySyntaxError:
        return None
    plan = drop_count(meant.plan)
    if not meant.refers or plan == offered or not _chooses_among(offered, plan):
        return None
    return Difference(offered, plan) if said.change == "remove" else plan


def _chooses_among(offered: Plan, plan: Plan) -> bool:
    """Whether a plan chooses among these by what they are and where they lie, not by how they lie to each other."""
    for part in walk_parts(plan):
        if isinstance(part, Unique) or (isinstance(part, Difference) and part.minus == offered):
            return False
    starts = plan.parts if isinstance(plan, Union) else (plan,)
    return all(source_set(start) == offered for start in starts) and not is_compared_to(plan, offered)


_POLITE = re.compile(
    r"^(?:(?:please|ok|okay|well|yes|yeah|i meant?|i want|take|choose|pick|select|it is|use)\b,? ?)+(?=\w)|,? please$"
)
_NONE = re.compile(
    r"(?:no(?:ne|pe)?|neither)(?: of (?:them|these|those|the (?:two|options)))?|no,? thanks?|nothing|cancel"
)
_ALL = re.compile(
    r"(?:both|all|any|either)(?: of (?:them|these|those)| ones| two)?|(?:all|both) the .*|them all|the two"
)
_LISTED = 6
"""No question back offers more options, so that a larger number is one of a mask."""
_PLACE = re.compile(
    rf"(?:the )?(?:(?P<word>option |choice |answer )?(?P<digits>\d{{1,9}})(?P<nth>st|nd|rd|th)?"
    rf"|(?P<ordinal>{'|'.join(ORDINALS[:_LISTED])}|last)"
    rf"|(?:option |choice )?(?P<numeral>{'|'.join(NUMERALS[:_LISTED])}))(?: one| option| choice)?"
)
_MASK = re.compile(r"(?:the )?(?:number|mask|nubmer|no|nr)s? (\d{1,9})(?: .*)?")


def _find_places(text: str, options: Sequence[str]) -> list[int]:
    """Return the places, counting from 0, that the text names; [] where it names something else."""
    words = [place for place, option in enumerate(options) if normalize_query(option) == text]
    if words:
        return words
    # "the first and number 4" names two; where one part cannot be told, none is
    places = [_find_place(part, options) for part in re.split(r",? and |, | or ", text)]
    return [place for place in places if place is not None] if None not in places else []


def _find_place(text: str, options: Sequence[str]) -> int | None:
    by_number = {id: place for place, option in enumerate(options) for id in find_masks(option)}
    if mask := _MASK.fullmatch(text):
        number = int(mask[1])
        return by_number.get(number, number - 1 if not by_number and number <= len(options) else None)
    found = _PLACE.fullmatch(text)
    if found is None:
        return None
    # A bare number is a place where the list is that long, else a mask.
    place = _read_place(found, len(options))
    if 1 <= place <= len(options):
        return place - 1
    return by_number.get(place) if found["digits"] and not found["nth"] and not found["word"] else None


def _read_place(found: re.Match[str], number: int) -> int:
    """Return the place, counting from 1, that the words name."""
    if found["digits"]:
        return int(found["digits"])
    if found["ordinal"] == "last":
        return number
    return 1 + (ORDINALS.index(found["ordinal"]) if found["ordinal"] else NUMERALS.index(found["numeral"]))
