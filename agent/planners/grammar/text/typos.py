"""Misspelt words of the grammar: one letter too many, too few, another or swapped with the next."""

import re
from functools import cache
from string import ascii_lowercase

from agent.planners.grammar.vocabulary import TYPOS

CORRECTED = (
    "above", "below", "bottom", "center", "centre", "corner", "inside", "middle", "outside", "between", "beneath",
    "beside", "behind", "under", "underneath", "touching", "overlapping", "except", "excluding", "without", "neither",
    "everything", "anything", "highlight", "segment", "largest", "biggest", "smallest", "tallest", "shortest",
    "widest", "narrowest", "leftmost", "rightmost", "topmost", "bottommost", "highest", "lowest", "nearest",
    "closest", "farthest", "furthest", "larger", "bigger", "smaller", "second", "third", "fourth", "fifth", "sixth",
    "seventh", "eighth", "ninth", "tenth", "eleven", "twelve", "three", "seven", "eight", "black", "blonde", "brown",
    "golden", "green", "magenta", "maroon", "orange", "purple", "silver", "turquoise", "violet", "white", "yellow",
    "crimson", "checkered", "dotted", "little", "metallic", "patterned", "plastic", "rectangular", "spotted",
    "striped", "transparent", "triangular", "wooden",
)  # fmt: skip
"""Words that a query turns on, or that describe; what is near to them is taken for them."""
LOOKALIKES = {
    "abode", "aight", "alittle", "ander", "back", "bagger", "bedside", "behinds", "bellow", "belo", "besides",
    "biddle", "biggar", "bight", "blacks", "blank", "block", "blond", "blondes", "blondie", "blow", "blown", "bolden",
    "bottoms", "brack", "brawn", "breen", "bron", "brow", "browne", "browns", "brows", "bugger", "canter", "centers",
    "centred", "centres", "centro", "clack", "closes", "closet", "closets", "conner", "contre", "corker", "cornea",
    "corned", "cornel", "corners", "cornet", "coroner", "crown", "dearest", "diddle", "digger", "drown", "eighths",
    "eights", "eighty", "either", "elastic", "elven", "ender", "enter", "entre", "even", "excerpt", "fellow",
    "fiddle", "fifths", "fifty", "fight", "filth", "firth", "flack", "forth", "fourths", "frown", "funder", "goldin",
    "grange", "greed", "greek", "greene", "greens", "greer", "greet", "grown", "gruen", "height", "highlights",
    "hight", "hite", "holden", "horner", "ight", "insider", "insides", "lack", "lager", "langer", "larder", "large",
    "leven", "liddle", "light", "littler", "littles", "lowes", "magento", "marion", "marlon", "maron", "maroons",
    "meddle", "mellow", "metallica", "might", "muddle", "nether", "nigger", "night", "olden", "onside", "orang",
    "oranges", "outsider", "plastics", "potted", "purples", "range", "renter", "reside", "riddle", "rigger", "right",
    "rotted", "seconds", "seen", "segments", "semen", "seve", "sevens", "seventy", "sever", "severn", "shite",
    "shree", "sight", "silvers", "silvery", "sith", "sixty", "slack", "sliver", "slotted", "slowest", "smalley",
    "solver", "sported", "spotter", "squared", "squares", "squire", "steven", "stripe", "stripes", "stripped",
    "strived", "sunder", "sven", "teeth", "tent", "tenths", "tents", "thee", "there", "thirds", "threes", "threw",
    "tigger", "tight", "tittle", "torching", "tree", "tyree", "unde", "unger", "unser", "unter", "venter", "violent",
    "violets", "waite", "weight", "while", "whine", "whit", "whiten", "whiter", "whites", "whitey", "whyte", "wight",
    "wildest", "wisest", "wooded", "woolen", "wooten", "worden", "write", "yellows",
}  # fmt: skip
"""Words of their own that are one letter away from one of `CORRECTED`; they stay as they are."""


def correct_typos(text: str) -> str:
    """Return the text with the words of the grammar spelt as the grammar knows them.

    Args:
        text: In lower case.

    >>> correct_typos("teh two largset circles beetween the barrows")
    'the two largest circles between the barrows'
    """
    return _WORD.sub(lambda found: _list_typos().get(found[0], found[0]), text)


def find_corrections(text: str) -> list[tuple[str, str]]:
    """Return what `correct_typos` changes, of words with more than three letters: as written, and as read.

    >>> find_corrections("Teh lefmost star")
    [('lefmost', 'leftmost')]
    """
    known = _list_typos()
    words = dict.fromkeys(found[0] for found in _WORD.finditer(text.casefold()))
    return [(word, known[word]) for word in words if word in known and len(known[word]) > 3]


_WORD = re.compile(r"(?<![\w'-])[a-z]{3,}(?![\w'-])")


@cache
def _list_typos() -> dict[str, str]:
    """Return every misspelling with the word that is meant; none that is near to two of them, or a word itself."""
    meant: dict[str, set[str]] = {}
    for word in CORRECTED:
        for typo in _list_misspellings(word):
            meant.setdefault(typo, set()).add(word)
    words = LOOKALIKES | {*CORRECTED}
    near = {typo: min(of) for typo, of in meant.items() if len(of) == 1 and typo not in words and len(typo) > 3}
    return near | TYPOS


def _list_misspellings(word: str) -> set[str]:
    """Return what is one letter away from a word."""
    cuts = [(word[:i], word[i:]) for i in range(len(word) + 1)]
    dropped = {start + end[1:] for start, end in cuts if end}
    added = {start + letter + end for start, end in cuts for letter in ascii_lowercase}
    other = {start + letter + end[1:] for start, end in cuts if end for letter in ascii_lowercase}
    swapped = {start + end[1] + end[0] + end[2:] for start, end in cuts if len(end) > 1}
    return dropped | added | other | swapped
