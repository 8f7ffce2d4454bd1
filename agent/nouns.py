"""Singular and plural of English noun phrases: just enough to name one kind of thing in one way."""

import re

IRREGULAR = {
    "aircraft": "aircraft", "axes": "axe", "bookshelves": "bookshelf", "buses": "bus", "businessmen": "businessman",
    "calves": "calf", "canoes": "canoe", "children": "child", "cookies": "cookie", "deer": "deer", "dice": "die",
    "feet": "foot", "firemen": "fireman", "fish": "fish", "fishermen": "fisherman", "geese": "goose",
    "gentlemen": "gentleman", "goldfish": "goldfish", "grandchildren": "grandchild", "halves": "half",
    "hoodies": "hoodie", "hooves": "hoof", "jellyfish": "jellyfish", "knives": "knife", "leaves": "leaf",
    "lenses": "lens", "loaves": "loaf", "men": "man", "mice": "mouse", "moose": "moose", "moustaches": "moustache",
    "movies": "movie", "mustaches": "mustache", "oxen": "ox", "people": "person", "pies": "pie", "pixies": "pixie",
    "policemen": "policeman", "reindeer": "reindeer", "scarves": "scarf", "selfies": "selfie", "sheep": "sheep",
    "shelves": "shelf", "shoes": "shoe", "smoothies": "smoothie", "snowmen": "snowman", "starfish": "starfish",
    "teeth": "tooth", "thieves": "thief", "ties": "tie", "toes": "toe", "wives": "wife", "wolves": "wolf",
    "women": "woman", "zombies": "zombie",
}  # fmt: skip
"""Plural -> singular, where no rule tells."""

ALWAYS_PLURAL = {
    "binoculars", "clothes", "glasses", "goggles", "grapes", "headphones", "jeans", "pajamas", "pants", "pliers",
    "scissors", "shorts", "sunglasses", "tights", "tongs", "trousers", "tweezers",
}  # fmt: skip
"""Left as they are: one of them is a pair or a bunch."""

_S_IN_SINGULAR = re.compile(r".*(ss|us|is|ics)|atlas|bias|canvas|christmas|gas|lens|news|series|species|stairs|s")
"""Words that end in s and are not plural: glass, bus, iris, canvas …"""


def is_plural(word: str) -> bool:
    """Whether a noun may stand for several things.

    >>> [word for word in ("dogs", "people", "bus", "fish", "star") if is_plural(word)]
    ['dogs', 'people', 'fish']
    """
    return word in ALWAYS_PLURAL or word in IRREGULAR or singular(word) != word


def is_singular(word: str) -> bool:
    """Whether a noun may stand for one thing.

    >>> [word for word in ("dogs", "people", "bus", "fish", "star") if is_singular(word)]
    ['bus', 'fish', 'star']
    """
    return word not in ALWAYS_PLURAL and singular(word) == word


def singular(word: str) -> str:
    """
    >>> [singular(word) for word in ("circles", "boxes", "cherries", "buses", "knives", "glass", "scissors")]
    ['circle', 'box', 'cherry', 'bus', 'knife', 'glass', 'scissors']
    """
    if word in IRREGULAR:
        return IRREGULAR[word]
    if word in ALWAYS_PLURAL or not word.endswith("s") or _S_IN_SINGULAR.fullmatch(word):
        return word
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if re.search(r"(ss|sh|ch|x|zz|o|[^o]us)es$", word):
        return word[:-2]
    return word[:-1]


def plural(word: str) -> str:
    """
    >>> [plural(word) for word in ("circle", "box", "cherry", "bus", "knife", "tomato", "fish", "scissors", "dogs")]
    ['circles', 'boxes', 'cherries', 'buses', 'knives', 'tomatoes', 'fish', 'scissors', 'dogs']
    """
    if is_plural(word):
        return word
    known = next((many for many, one in IRREGULAR.items() if one == word), None)
    if known:
        return known
    if re.search(r"[^aeiou]y$", word):
        return word[:-1] + "ies"
    if re.search(r"(s|sh|ch|x|z)$", word) or word in ("tomato", "potato", "hero", "mango", "echo"):
        return word + "es"
    return word + "s"
