"""Multiple choice: answers under letters whose order is drawn anew, and letters read out of what a model said."""

import json
import re
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from math import exp
from typing import Annotated, ClassVar, Literal

from pydantic import BeforeValidator, Field

from agent.core.tools.tool import Tool
from agent.models.base import Reply

LETTERS = "ABCDEF"
VOTE_PRIOR = 0.5
"""Votes that are spread over all choices before any is counted, so that three equal answers are no certainty."""
_ALONE = re.compile(r"\W*([A-Fa-f])\W*")
_SAID = re.compile(
    r"(?i:answer|choice|option|letter|choose|pick)\b(?:\s+(?:is|would\s+be|of|the|option|letter))*\W{0,6}([A-F])\b"
)
_AT_START = re.compile(r"\W*([A-F])\s*[:.)\]]")


def find_letter(text: str) -> str:
    """Return the letter that a text gives as its answer; '' where it gives none or several.

    >>> [find_letter(text) for text in ("b", "(C)", "**Answer:** D.", "The answer is A.", "B: reject", "A or B", "no")]
    ['B', 'C', 'D', 'A', 'B', '', '']
    """
    if found := _ALONE.fullmatch(text.strip()):
        return found[1].upper()
    said = {found[1] for found in _SAID.finditer(text)} or {found[1] for found in [_AT_START.match(text)] if found}
    return said.pop() if len(said) == 1 else ""


def _read_letter(value: object) -> object:
    """Return the letter of a text; anything else stays as it is, to be refused."""
    return (find_letter(value) or value) if isinstance(value, str) else value


class ChooseOfFive(Tool):
    """Give the letter of the one answer that fits."""

    name: ClassVar[str] = "choose"
    aliases: ClassVar = ("choice", "answer", "select", "pick", "verdict")
    field_aliases: ClassVar = dict.fromkeys(("answer", "choice", "option", "value", "selection"), "letter")
    ignores_unknown_arguments: ClassVar = True

    letter: Annotated[Literal["A", "B", "C", "D", "E"], BeforeValidator(_read_letter)] = Field(
        description="Of the answer that fits."
    )


class ChooseOfSix(ChooseOfFive):
    """Give the letter of the one answer that fits."""

    letter: Annotated[Literal["A", "B", "C", "D", "E", "F"], BeforeValidator(_read_letter)] = Field(  # type: ignore[assignment]
        description="Of the answer that fits."
    )


def write_choice_arguments(text: str) -> str:
    """Return the arguments of a `choose` call for an answer in words.

    >>> write_choice_arguments("I pick B.")
    '{"letter": "B"}'
    """
    return json.dumps({"letter": find_letter(text) or text[:80]})


def draw_order(choices: Sequence[str], seed: str, turn: int) -> tuple[str, ...]:
    """Draw the order in which choices stand under A, B and the letters after them.

    Args:
        choices: All of them.
        seed: Of the draw: equal seeds draw equal orders, on every machine.
        turn: Counts from 0. Each further turn about the same thing moves every choice to another letter.

    >>> order = draw_order(["accept", "reject", "flag"], "5d", 0)
    >>> sorted(order), draw_order(["accept", "reject", "flag"], "5d", 1) == (*order[1:], order[0])
    (['accept', 'flag', 'reject'], True)
    """
    drawn = sorted(choices, key=lambda choice: blake2b(f"{seed}\0{choice}".encode("utf-8", "replace")).digest())
    step = turn % len(drawn)
    return (*drawn[step:], *drawn[:step])


def format_options(order: Sequence[str], texts: Mapping[str, str]) -> str:
    """Return the answers under their letters, one a line.

    >>> print(format_options(["reject", "accept"], {"accept": "Right.", "reject": "Wrong."}))
    A: Wrong.
    B: Right.
    """
    return "\n".join(f"{letter}: {texts[choice]}" for letter, choice in zip(LETTERS, order, strict=False))


def read_letter_odds(reply: Reply, letter: str, count: int) -> dict[str, float] | None:
    """Return the probability of each letter where the answer stands in a reply.

    Args:
        reply: With its tokens, if the server tells their odds.
        letter: The answer.
        count: How many letters there are.

    Returns:
        In [0, 1] with the sum 1, by letter; None where the odds are not told.

    >>> from agent.models.base import TokenOdds
    >>> odds = TokenOdds('"B', {'"B': -0.1, '"A': -2.3, "x": -9.0})
    >>> read_letter_odds(Reply(tokens=(odds,)), "B", 2)
    {'A': 0.09975, 'B': 0.90025}
    """
    places = [token for token in reply.tokens if _strip_token(token.text) == letter and token.log_probabilities]
    if not places:
        return None
    letters = LETTERS[:count]
    found = dict.fromkeys(letters, 0.0)
    for text, value in places[-1].log_probabilities.items():
        if (said := _strip_token(text)) in found:
            found[said] += exp(value)
    # what is not among the likeliest tokens is no likelier than the last of them
    least = min([value for value in found.values() if value], default=0.0)
    unlisted = [letter for letter, value in found.items() if not value]
    rest = min(max(0.0, 1 - sum(found.values())) / max(1, len(unlisted)), least)
    found |= dict.fromkeys(unlisted, rest)
    total = sum(found.values())
    return {letter: round(value / total, 6) for letter, value in found.items()} if total > 0 else None


def count_votes(choices: Sequence[str], votes: Sequence[str]) -> dict[str, float]:
    """Return the probability of each choice by the votes for it.

    >>> count_votes(["accept", "reject"], ["accept", "accept", "accept"])
    {'accept': 0.928571, 'reject': 0.071429}
    """
    prior = VOTE_PRIOR / len(choices)
    return {choice: round((votes.count(choice) + prior) / (len(votes) + VOTE_PRIOR), 6) for choice in choices}


def _strip_token(text: str) -> str:
    """Return a token without the blanks, quotes and marks that tokenizers join to a letter."""
    return text.strip(" \t\n\"'`{}[]():,.*_\u2581\u0120")
