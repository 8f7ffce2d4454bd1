"""When two phrases are the same: case, spaces, hyphens, spelling and the order of adjectives do not count."""

import re

from agent.planners.grammar.nouns import to_singular
from agent.planners.grammar.vocabulary import ADJECTIVES

_SPELLINGS = {
    "aeroplane": "airplane", "armour": "armor", "cheque": "check", "checked": "checkered", "chequered": "checkered",
    "cigaret": "cigarette", "colored": "coloured", "colorful": "colourful", "cosy": "cozy", "doughnut": "donut",
    "gray": "grey", "grill": "grille", "jewellery": "jewelry", "mold": "mould", "moustache": "mustache",
    "plough": "plow", "polystyrene": "styrofoam", "pyjamas": "pajamas", "stripy": "striped", "tyre": "tire",
    "whisky": "whiskey", "yoghurt": "yogurt", "blonde": "blond", "theatre": "theater", "kerb": "curb", "axe": "ax",
    "catalogue": "catalog", "centre": "center", "fibre": "fiber", "metre": "meter", "licence": "license",
}  # fmt: skip
"""One spelling of a word -> the other."""


def make_phrase_key(phrase: str) -> str:
    """Return a text that all spellings of a phrase share.

    'Glasses' are no 'glass': words that are always plural stay so.

    Args:
        phrase: In the singular, or a name of an ontology as it came.

    >>> make_phrase_key("big gray T-shirt") == make_phrase_key("grey big tshirts")
    True
    >>> make_phrase_key("wine glasses") == make_phrase_key("wine glass")
    False
    """
    *others, head = [spell_word(word) for word in re.findall(r"[^\W_]+(?:['-][^\W_]+)*", phrase.casefold())] or [""]
    described = sorted(word for word in others if word in ADJECTIVES)
    named = [word for word in others if word not in ADJECTIVES]
    return " ".join([*described, re.sub(r"[\s'-]", "", "".join([*named, spell_word(to_singular(head))]))])


def split_attributes(phrase: str) -> tuple[frozenset[str], str]:
    """Return the adjectives at the beginning of a phrase, and what they describe.

    >>> split_attributes("red cup"), split_attributes("red")
    ((frozenset({'red'}), 'cup'), (frozenset(), 'red'))
    """
    words = phrase.split()
    first = next((i for i, word in enumerate(words[:-1]) if word not in ADJECTIVES), max(len(words) - 1, 0))
    return frozenset(words[:first]), " ".join(words[first:])


def spell_word(word: str) -> str:
    """Return the one spelling of a word that both of its spellings stand for.

    >>> spell_word("gray")
    'grey'
    """
    return _SPELLINGS.get(word, word)
