"""Attributes that exclude each other: 'red cup' and 'blue cup' are not the same cup."""

from collections.abc import Iterator

from engine.phrases.phrase_keys import spell_word, split_attributes

_COLOURS = (
    ("red", "crimson", "scarlet", "maroon"),
    ("orange", "amber", "copper", "peach"),
    ("yellow", "gold", "golden", "ochre"),
    ("green", "lime", "olive"),
    ("cyan", "turquoise", "teal", "aqua"),
    ("blue", "navy", "indigo"),
    ("purple", "violet", "lilac", "lavender", "mauve", "magenta"),
    ("pink", "rose"),
    ("brown", "bronze", "tan", "beige"),
    ("black",),
    ("white", "ivory", "cream"),
    ("grey", "silver"),
)
_PATTERNS = (
    ("plain", "solid"),
    ("striped",),
    ("dotted", "spotted", "polka-dotted"),
    ("checkered", "plaid"),
    ("floral",),
)
_MATERIALS = (("wooden",), ("metal", "metallic"), ("plastic",), ("glass",), ("leather",))
_SIZES = (("small", "little", "tiny"), ("large", "big", "huge", "gigantic"))
_OPPOSITES = (
    (("open",), ("closed",)),
    (("empty", "blank"), ("full",)),
    (("wet",), ("dry",)),
    (("clean", "new"), ("dirty", "old", "rusty")),
    (("round",), ("square", "rectangular", "triangular")),
    (("tall", "long"), ("short",)),
    (("thick",), ("thin",)),
    (("wide",), ("narrow",)),
)
_SCALES: tuple[tuple[tuple[str, ...], ...], ...] = (_COLOURS, _PATTERNS, _MATERIALS, _SIZES, *_OPPOSITES)
"""Scales of groups: words of one group mean nearly the same, words of two groups exclude each other."""


def swap_attributes(phrase: str) -> Iterator[str]:
    """Yield the phrase with one of its attributes exchanged for another one of the same scale.

    Args:
        phrase: In the singular. One without attributes yields nothing.

    >>> list(swap_attributes("small striped cup"))[:3]
    ['large striped cup', 'small plain cup', 'small dotted cup']
    """
    words = phrase.split()
    count = len(words) - len(split_attributes(phrase)[1].split())
    for place, word in enumerate(words[:count]):
        for other in list_alternatives(word):
            yield " ".join([*words[:place], other, *words[place + 1 :]])


def list_alternatives(attribute: str) -> list[str]:
    """List the attributes that exclude one, the first word of each group.

    >>> list_alternatives("violet")[:3], list_alternatives("shiny")
    (['red', 'orange', 'yellow'], [])
    """
    word = spell_word(attribute)
    for scale in _SCALES:
        if any(word in group for group in scale):
            return [group[0] for group in scale if word not in group]
    return []
