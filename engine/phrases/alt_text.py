"""What a page says of an image to the noun phrases in it, by the grammar."""

import re

from agent.planners.grammar.interpretation import interpret_query
from agent.planners.grammar.plan import list_phrases
from agent.planners.grammar.vocabulary import ANYTHING

MAX_LETTERS = 2000
"""Of an alternative text; what is beyond is not read."""
MAX_PHRASES = 20
_CLAUSES = re.compile(
    r"[.;:!?|/\n\r\t()\[\]\u2013\u2014]+|,| - |\b(?:and|or|with|on|in|at|by|near|under|over|behind|beside|against|from"
    r"|of the|next to|in front of|for|while|as|who|that|which|is|are|was|were|has|have|wearing|holding|sitting|standing"
    r"|lying|leaning|hanging|parked|riding|walking|running|looking|playing|eating|carrying|using|during|through|into|onto|across|around)\b",
    re.IGNORECASE,
)
_OPENING = re.compile(
    r"^(?:(?:a|an|the|this|my)\s+)?(?:\w+\s+)?(?:photo|photograph|picture|image|shot|view|close-?up|illustration|drawing"
    r"|painting|screenshot)s?(?:\s+(?:of|showing|with))?\s+",
    re.IGNORECASE,
)
_FILE = re.compile(r"\S+\.(?:jpe?g|png|webp|gif|bmp|tiff?|svg)\b|https?://\S+", re.IGNORECASE)


def find_noun_phrases(text: str) -> list[str]:
    """Find the noun phrases of an alternative text or a caption.

    Args:
        text: Any text.

    Returns:
        At most 20 phrases as the grammar reads them, in their order, each once. They are not cleaned yet: places, moods
        and blocked words are still among them.

    >>> find_noun_phrases("Photo of two brown dogs playing with a red ball on the beach.")
    ['brown dog', 'red ball', 'beach']
    >>> find_noun_phrases("IMG_2034.jpg")
    []
    """
    plain = _OPENING.sub("", _FILE.sub(" ", text[:MAX_LETTERS]).strip())
    found: dict[str, None] = {}
    for clause in _CLAUSES.split(plain):
        if not clause.strip():
            continue
        read = interpret_query(" ".join(clause.split()))
        named = list_phrases(read.plan) if read.plan is not None else []
        found.update(dict.fromkeys(phrase for phrase in named if phrase != ANYTHING and len(phrase) > 1))
    return list(found)[:MAX_PHRASES]
