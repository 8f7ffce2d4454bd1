"""The closed word classes of the grammar: adjectives, clothes, numbers, sides, superlatives, and what they measure."""

from agent.planners.grammar.plan import Order
from agent.tools.geometry.terms import Measure

ANYTHING = "object"
"""The phrase for 'everything', 'the one …' and the like."""

COLOURS = {
    "amber", "aqua", "beige", "black", "blond", "blonde", "blue", "bronze", "brown", "copper", "cream", "crimson",
    "cyan", "gold", "golden", "gray", "green", "grey", "indigo", "ivory", "lavender", "lilac", "lime", "magenta",
    "maroon", "mauve", "navy", "ochre", "olive", "orange", "peach", "pink", "purple", "red", "rose", "scarlet",
    "silver", "tan", "teal", "turquoise", "violet", "white", "yellow",
}  # fmt: skip
ADJECTIVES = COLOURS | {
    "big", "blank", "bright", "checked", "checkered", "clean", "colored", "coloured", "colorful", "colourful", "dark",
    "dirty", "dotted", "dry", "empty", "flat", "floral", "full", "glass", "glossy", "gigantic", "hollow", "huge",
    "large", "leather", "light", "little", "long", "matte", "medium", "metal", "metallic", "narrow", "new", "old",
    "open", "pale", "patterned", "plaid", "plain", "plastic", "polka-dotted", "round", "rectangular", "rusty", "shiny",
    "short", "small", "solid", "spotted", "square", "striped", "stripy", "tall", "thick", "thin", "tiny", "transparent",
    "triangular", "wet", "wide", "wooden", "young",
}  # fmt: skip
"""Words that may stand without their noun: 'red and blue circles', 'squares that are striped'."""
THINGS_TOO = {
    "amber", "copper", "glass", "gold", "lavender", "leather", "lime", "olive", "orange", "peach", "rose", "square",
    "violet",
}  # fmt: skip
"""Adjectives that ask for a thing where they stand alone."""

NOUNS_TOO = THINGS_TOO | {
    "blond", "blonde", "bronze", "cream", "flat", "ivory", "light", "lilac", "medium", "metal", "navy", "plaid",
    "plastic", "silver", "solid", "tan", "teal",
}  # fmt: skip
"""Adjectives that may end the name of a thing: 'traffic light', 'ice cream'."""
PREDICATES = {
    "alike", "alive", "alone", "apart", "asleep", "awake", "indoors", "open", "outdoors", "together", "upright",
}  # fmt: skip
"""Words that say something of the noun before them, and are none themselves."""
PRINTED = {
    "ad", "album", "banner", "bar", "billboard", "book", "bottle", "box", "burger", "can", "cap", "card", "dvd", "game",
    "hat", "hotel", "jersey", "logo", "magazine", "menu", "movie", "mug", "pack", "poster", "restaurant", "shirt",
    "shop", "sign", "soundtrack", "sticker", "store", "t-shirt", "toy", "truck",
}  # fmt: skip
"""What is called by whatever stands on it: 'five guys logo', 'under the sea poster'."""

CLOTHES = {
    "armor", "blazer", "boot", "cap", "clothes", "coat", "costume", "dress", "glasses", "hat", "helmet", "hoodie",
    "jacket", "jeans", "jersey", "outfit", "overalls", "pants", "robe", "sandal", "scarf", "shirt", "shoe", "shorts",
    "skirt", "suit", "sunglasses", "sweater", "sweatshirt", "swimsuit", "t-shirt", "tie", "top", "trousers", "tuxedo",
    "uniform", "vest",
}  # fmt: skip

NUMERALS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
ORDINALS = (
    *("first", "second", "third", "fourth", "fifth", "sixth"),
    *("seventh", "eighth", "ninth", "tenth", "eleventh", "twelfth"),
)

TYPOS = {
    "abvoe": "above", "adn": "and", "belwo": "below", "betwen": "between", "bewteen": "between", "bigest": "biggest",
    "biggets": "biggest", "closset": "closest", "coudl": "could", "evey": "every", "evry": "every",
    "excpet": "except", "exept": "except", "fidn": "find", "findd": "find", "fnd": "find", "hihglight": "highlight",
    "hilight": "highlight", "hte": "the", "hwo": "how", "lagest": "largest", "larget": "largest",
    "largets": "largest", "leftmots": "leftmost", "letfmost": "leftmost", "lfet": "left", "mnay": "many",
    "nearets": "nearest", "nearset": "nearest", "plase": "please", "pleas": "please", "plese": "please",
    "rightmots": "rightmost", "rigth": "right", "rigthmost": "rightmost", "rihgt": "right", "selcet": "select",
    "selct": "select", "shwo": "show", "slect": "select", "smalest": "smallest", "smallets": "smallest",
    "smallset": "smallest", "sohw": "show", "teh": "the", "undre": "under", "wehre": "where", "whcih": "which",
    "wher": "where", "whre": "where", "wich": "which", "wiht": "with", "wihtout": "without", "yelow": "yellow",
}  # fmt: skip
"""Of the words that a query turns on; other words are names, however they are written."""

FOREIGN_ARTICLES = {
    "das", "de", "dem", "den", "der", "des", "det", "die", "een", "ein", "eine", "el", "en", "ett", "gli", "het", "il",
    "la", "las", "le", "les", "los", "o", "os", "un", "una", "une",
}  # fmt: skip
FOREIGN_JOINS = {
    "avec", "con", "dans", "derecha", "dos", "droite", "e", "en", "et", "gauche", "izquierda", "links", "mit", "och",
    "og", "rechts", "sin", "sotto", "sous", "sur", "y",
    "azul", "bianco", "blanco", "blau", "bleu", "blå", "branco", "grande", "grandes", "grau", "grosse", "gross",
    "grüne", "grön", "kleine", "kleinen", "klein", "negro", "nero", "petit", "petite", "rode", "roja", "rojo", "rossa",
    "rosso", "rot", "rote", "roten", "rouge", "röda", "schwarze", "stora", "verde", "vermelho", "vert", "weisse",
}  # fmt: skip
"""Words of other languages that join, place or describe; with an article they tell that a query is not English."""
FOREIGN_WORDS = {
    "auf", "deux", "dois", "drei", "größte", "größten", "grösste", "grössten", "neben", "trois", "unter", "und",
    "zwei",
}  # fmt: skip
"""The same, where no article is needed."""

SIDES = {
    "left": "left", "right": "right", "top": "top", "upper": "top", "bottom": "bottom", "lower": "bottom",
    "middle": "middle", "center": "middle", "centre": "middle", "central": "middle",
}  # fmt: skip
"""Words for a side, and the side."""

SUPERLATIVES: dict[str, tuple[Measure, Order]] = {
    "LARGEST": ("size", "descending"),
    "SMALLEST": ("size", "ascending"),
    "TALLEST": ("height", "descending"),
    "SHORTEST": ("height", "ascending"),
    "WIDEST": ("width", "descending"),
    "NARROWEST": ("width", "ascending"),
    "LEFTMOST": ("x", "ascending"),
    "RIGHTMOST": ("x", "descending"),
    "TOPMOST": ("y", "ascending"),
    "BOTTOMMOST": ("y", "descending"),
    "NEAREST": ("distance", "ascending"),
    "FARTHEST": ("distance", "descending"),
}
LEAST_CERTAIN = "LEAST_CERTAIN"
"""No word, but what 'all but two' leaves out: a superlative by SAM 3's score."""
OF_SIZE = ("LARGEST", "SMALLEST", "TALLEST", "SHORTEST", "WIDEST", "NARROWEST")
"""Superlatives that mean several where masks are known: 'the biggest ones'."""
OUTERMOST_BY_SIDE = {"left": "LEFTMOST", "right": "RIGHTMOST", "top": "TOPMOST", "bottom": "BOTTOMMOST"}
OUTERMOST_BY_RELATION = {
    "left_of": "LEFTMOST",
    "right_of": "RIGHTMOST",
    "above": "TOPMOST",
    "below": "BOTTOMMOST",
    "larger": "LARGEST",
    "smaller": "SMALLEST",
}
"""Which one of many decides for 'left of every square': what is left of the leftmost one is left of all."""

SIZES: dict[str, tuple[Measure, Order]] = {
    **dict.fromkeys(("big", "large", "huge", "gigantic"), ("size", "descending")),
    **dict.fromkeys(("small", "little", "tiny"), ("size", "ascending")),
    "tall": ("height", "descending"),
    "short": ("height", "ascending"),
    "wide": ("width", "descending"),
    "narrow": ("width", "ascending"),
}
"""Adjectives that compare masks of an answer with each other."""


def drop_adjectives(phrase: str) -> str:
    """Return a phrase without the adjectives that others may take the place of.

    >>> drop_adjectives("big red cup of coffee"), drop_adjectives("red")
    ('cup of coffee', 'red')
    """
    words = phrase.split()
    first = next((i for i, word in enumerate(words[:-1]) if word not in ADJECTIVES), len(words) - 1)
    return " ".join(words[first:])
