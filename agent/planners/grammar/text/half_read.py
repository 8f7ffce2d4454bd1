"""Query to notes: words whose reading is near to what they say, and less than it, are told."""

import re
from collections.abc import Iterator


def describe_half_read(query: str) -> Iterator[str]:
    """Yield a sentence for each construction that is read as something nearly the same.

    Args:
        query: As it was asked.

    >>> [*describe_half_read("the cup in the middle of the table")]
    ["'In the middle of' was read as 'inside'."]
    >>> [*describe_half_read("the cup on the table")]
    []
    """
    text = " ".join(query.lower().split())
    for pattern, sentence in _HALF_READ:
        if found := pattern.search(text):
            yield sentence.format(*found.groups())


_SIDE = r"(?:the |its )?(?:far |very )?(?:left|right|top|bottom|upper|lower|middle|cent(?:er|re))"
_IMAGE = r"(?:the |this )?(?:image|picture|photo|photograph|scene|frame|shot|screen)\b"
_HALF_READ = [
    (re.compile(pattern), sentence)
    for pattern, sentence in [
        (
            rf"\b(?:on|at|in) the (?:far |very )?(left|right)(?: hand)? (?:side|part) of (?!{_IMAGE})",
            "'On the {0} side of' was read as '{0} of', by the middles of both; whether one is on the other was not"
            " looked at.",
        ),
        (
            rf"\bin the (middle|cent(?:er|re)) of (?!{_IMAGE}|(?:the |these |those )?(?:two|2)\b)",
            "'In the {0} of' was read as 'inside'.",
        ),
        (
            r"\b(?:with|has|have|having) (?:an?|the|some|any) (?:[\w-]+ ){1,3}on (?:it|them|top)\b",
            "What has something on it was read as what is under that.",
        ),
        (
            r"(?<=s) (immediately|directly) (?:to the )?(left|right) of\b",
            "All that are {1} of it were taken: '{0}' was not looked at.",
        ),
        (
            r"\blast (?:[\w-]+ ){1,3}(?:on|at) the (left|right)\b(?! (?:of|side of|hand side of)\b)",
            "'Last … on the {0}' was read as the {0}most one.",
        ),
        (
            rf"\b(parked|seated|sitting|standing|lying)\b (?!on (?:the )?top of)(?=(?:(?:to|on|at|in) {_SIDE}\b"
            r"|left of|right of|next to|beside|near|behind|between|above|below)\b)",
            "'{0}' was not checked, only where things are.",
        ),
    ]
]
