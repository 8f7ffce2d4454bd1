"""Number words: those of the grammar as numbers, and those beyond them as digits."""

import re

from agent.planners.grammar.vocabulary import NUMERALS, ORDINALS

_TEENS = ("thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen")
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_MULTIPLES = {"dozen": 12, "hundred": 100, "thousand": 1000, "million": 1_000_000}
_UNITS = r"(?:dollar|euro|pound|cent|island|year|years?_old|mile|meter|metre|foot)\b"
"""'A hundred dollar bill' is one bill."""


def read_number(word: str) -> int:
    """Return the number that digits or a word of `NUMERALS` say.

    >>> read_number("12"), read_number("twelve"), read_number("a couple of")
    (12, 12, 2)
    """
    if word.endswith("couple of"):
        return 2
    return int(word) if word.isdigit() else NUMERALS.index(word) + 1


def read_ordinal(word: str) -> int:
    """Return the number of a place in an order.

    >>> read_ordinal("3rd"), read_ordinal("third")
    (3, 3)
    """
    return int(word[:-2]) if word[0].isdigit() else ORDINALS.index(word) + 1


def write_digits(text: str) -> str:
    """Return the text with digits for number words above twelve.

    >>> write_digits("the twenty-first of ninety nine cups"), write_digits("ten thousand cups, a dozen eggs")
    ('the 21st of 99 cups', '10000 cups, 12 eggs')
    >>> write_digits("half a dozen eggs")
    '6 eggs'
    """
    text = _HALF_A_DOZEN.sub("6", text)
    text = _THOUSANDS.sub(lambda found: found[0].replace(",", ""), text)
    text = _COMPOUND_ORDINAL.sub(_write_ordinal, text)
    text = _COMPOUND.sub(lambda found: str(_read_below_100(found[0])), text)
    return _MULTIPLIED.sub(_write_product, text)


_HALF_A_DOZEN = re.compile(r"\b(?:a )?half (?:of )?(?:a )?dozen(?: of)?\b")
_THOUSANDS = re.compile(r"(?<![\d,])[1-9]\d{0,2}(?:,\d{3})+(?![\d,])")
_COMPOUND_ORDINAL = re.compile(
    rf"\b(?:({'|'.join(_TENS)})[- ]({'|'.join(ORDINALS[:9])})|({'|'.join(_TEENS)})th"
    rf"|({'|'.join(tens[:-1] for tens in _TENS)})ieth)\b"
)
_COMPOUND = re.compile(
    rf"\b(?:(?:{'|'.join(_TENS)})(?:[- ](?:{'|'.join(NUMERALS[:9])}))?|{'|'.join(_TEENS)})\b(?![-_]| {_UNITS})"
)
_FACTOR = rf"(?:\d{{1,6}}|an?|{'|'.join(NUMERALS)})"
_MULTIPLIED = re.compile(
    rf"\b(?:(?P<factor>{_FACTOR}) )?(?P<first>{'|'.join(_MULTIPLES)})(?: (?P<second>thousand|million))?\b"
    rf"(?: and (?P<rest>\d{{1,2}}|{'|'.join(NUMERALS)}))?(?![-_]| {_UNITS})"
)


def _read_below_100(words: str) -> int:
    tens, *ones = re.split("[- ]", words)
    if tens in _TEENS:
        return 13 + _TEENS.index(tens)
    return 10 * (2 + _TENS.index(tens)) + sum(NUMERALS.index(digit) + 1 for digit in ones)


def _write_ordinal(found: re.Match[str]) -> str:
    tens, ones, teen, round_ten = found.groups()
    if teen:
        return f"{13 + _TEENS.index(teen)}th"
    if round_ten:
        return f"{10 * (2 + _TENS.index(f'{round_ten}y'))}th"
    digit = ORDINALS.index(ones) + 1
    return f"{10 * (2 + _TENS.index(tens)) + digit}{ {1: 'st', 2: 'nd', 3: 'rd'}.get(digit, 'th') }"


def _write_product(found: re.Match[str]) -> str:
    factor, rest = _read_factor(found["factor"], least=1), _read_factor(found["rest"], least=0)
    return str(factor * _MULTIPLES[found["first"]] * _MULTIPLES.get(found["second"] or "", 1) + rest)


def _read_factor(word: str | None, *, least: int) -> int:
    """Return the number that a word says; `least` where it says none, as an article."""
    return least if word is None or (word not in NUMERALS and not word.isdigit()) else read_number(word)
