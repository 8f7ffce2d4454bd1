"""Singular and plural of English noun phrases: just enough to name one kind of thing in one way."""

import re

IRREGULAR = {
    "antennae": "antenna", "axes": "axe", "cacti": "cactus", "crises": "crisis", "dice": "die", "dwarves": "dwarf",
    "elves": "elf", "fezzes": "fez", "fungi": "fungus", "gladioli": "gladiolus", "hippopotamuses": "hippopotamus",
    "hippopotami": "hippopotamus", "larvae": "larva", "lice": "louse", "oases": "oasis", "octopuses": "octopus",
    "octopi": "octopus", "oxen": "ox", "passersby": "passerby", "prostheses": "prosthesis", "quizzes": "quiz",
    "scarves": "scarf", "sheaves": "sheaf", "topazes": "topaz", "vertices": "vertex", "wharves": "wharf",
}  # fmt: skip
"""Plural -> singular, where no rule tells. Of several plurals, the usual one comes first."""

ENDINGS = {
    "calves": "calf", "children": "child", "eaux": "eau", "feet": "foot", "geese": "goose", "halves": "half",
    "hooves": "hoof", "knives": "knife", "leaves": "leaf", "loaves": "loaf", "men": "man", "mice": "mouse",
    "people": "person", "shelves": "shelf", "teeth": "tooth", "thieves": "thief", "wives": "wife", "wolves": "wolf",
}  # fmt: skip
"""The same, of compounds too: workmen, penknives."""

_NO_SUCH_ENDING = {
    "abdomen", "acumen", "amen", "bitumen", "cyclamen", "lumen", "omen", "pumice", "ramen", "regimen", "specimen",
    "stamen",
    "caiman", "german", "human", "mongoose", "norman", "ottoman", "roman", "shaman", "talisman",
}  # fmt: skip
"""They end as a plural, or as a singular, of `ENDINGS`, and are none."""

UNCHANGING = {
    "aircraft", "barracks", "bison", "chassis", "crossroads", "deer", "gallows", "headquarters", "hovercraft", "moose",
    "offspring", "reindeer", "series", "sheep", "spacecraft", "species", "swine", "watercraft",
}  # fmt: skip
"""One is named as many are; so is whatever ends in fish."""

ALWAYS_PLURAL = {
    "bedclothes", "binoculars", "clothes", "dungarees", "eyeglasses", "glasses", "goggles", "grapes", "headphones",
    "jeans", "knickers", "overalls", "pajamas", "panties", "pants", "pliers", "pyjamas", "scissors", "shears", "shorts",
    "sunglasses", "sweatpants", "tights", "tongs", "trousers", "tweezers", "underpants", "undies",
}  # fmt: skip
"""Left as they are: one of them is a pair or a bunch."""

_ONLY_S = {
    "aerie", "auntie", "barbie", "beanie", "birdie", "bookie", "bowtie", "brasserie", "brownie", "budgie",
    "calorie", "collie", "cookie", "cowrie", "crappie", "cutie", "faerie", "foodie", "freebie", "genie", "goalie",
    "groupie", "hippie", "hoodie", "junkie", "kelpie", "lassie", "magpie", "menagerie", "movie", "necktie",
    "newbie", "nightie", "onesie", "patisserie", "pie", "pixie", "potpie", "prairie", "roadie", "rookie",
    "rotisserie", "selfie", "selkie", "sharpie", "smoothie", "sortie", "stogie", "sweetie", "talkie", "techie",
    "tie", "toastie", "townie", "veggie", "wedgie", "weenie", "yuppie", "zombie", "aloe", "backhoe", "canoe", "doe",
    "floe", "foe", "gumshoe", "hoe", "horseshoe", "mistletoe", "oboe", "overshoe", "roe", "shoe", "sloe",
    "snowshoe", "tiptoe", "toe", "avalanche", "backache", "barouche", "bellyache", "brioche", "cache", "cartouche",
    "cliche", "cloche", "creche", "douche", "earache", "gouache", "headache", "heartache", "microfiche",
    "moustache", "mustache", "niche", "pastiche", "porsche", "quiche", "ruche", "stomachache", "toothache",
    "crevasse", "excuse", "fuse", "hypotenuse", "mousse", "muse", "posse", "recluse", "ruse", "use", "wrasse",
    "bantu", "bayou", "caribou", "emu", "fichu", "gnu", "guru", "haiku", "kinkajou", "kudu", "marabou", "menu",
    "pikachu", "snafu", "sudoku", "tiramisu", "tutu", "zebu", "zulu",
}  # fmt: skip
"""Their plural has one letter more, though it ends as if it had two, or none."""

_S_IN_SINGULAR = re.compile(
    r".*(ss|(?<!ea)us|[aeoy]sis|psis|polis)"
    r"|(amaryll|ax|cannab|chr|chrysal|clemat|cris|da|debr|elv|epiderm|h|hubr|ib|ir|kr|l|lor|lou|"
    r"mant|marqu|par|pelv|pen|portcull|prax|probosc|tenn|test|th|trell)is|is"
    r"|(acrobat|aerobat|aerob|athlet|electron|gymnast|mathemat|phys|polit|robot)ics"
    r"|(at)?las|bias|(bio)?gas|canvas|christmas|madras|pancreas|asbestos|chaos|cosmos|rhinoceros|thermos"
    r"|(bi|quadri|tri|for)ceps|diabetes|lens|mercedes|molasses|news|rabies|stairs|s"
)
"""Words that end in s and are not plural: glass, bus, iris, canvas …"""


def is_plural(word: str) -> bool:
    """Whether a noun may stand for several things.

    >>> [word for word in ("dogs", "people", "bus", "fish", "star") if is_plural(word)]
    ['dogs', 'people', 'fish']
    """
    return word in ALWAYS_PLURAL or _is_unchanging(word) or to_singular(word) != word


def is_singular(word: str) -> bool:
    """Whether a noun may stand for one thing.

    >>> [word for word in ("dogs", "people", "bus", "fish", "star") if is_singular(word)]
    ['bus', 'fish', 'star']
    """
    return word not in ALWAYS_PLURAL and to_singular(word) == word


def split_possessive(phrase: str) -> tuple[str, str] | None:
    """Return who has something, in the singular, and what it is; None for a phrase that says nothing of that.

    >>> split_possessive("black dog's red bowl"), split_possessive("men's shirt"), split_possessive("bowl")
    (('black dog', 'red bowl'), None, None)
    """
    found = re.fullmatch(r"(?P<owner>[^']+)(?:'s|(?<=s)') (?P<thing>[^']+)", phrase)
    if found is None or found["owner"] in ("men", "women", "children", "kids", "ladies"):
        return None
    *described, owner = found["owner"].split()
    return " ".join([*described, to_singular(owner)]), found["thing"]


def tell_number(word: str) -> str:
    """Return 'one' or 'many'; '' where the noun does not tell.

    >>> tell_number("dog"), tell_number("dogs"), tell_number("sheep")
    ('one', 'many', '')
    """
    many, one = is_plural(word), is_singular(word)
    return "" if many == one else "many" if many else "one"


def to_singular(word: str) -> str:
    """Return the singular of a noun; a noun that is no plural stays as it is.

    >>> [to_singular(word) for word in ("circles", "boxes", "cherries", "buses", "penknives", "glass", "scissors")]
    ['circle', 'box', 'cherry', 'bus', 'penknife', 'glass', 'scissors']
    """
    if word.endswith(("'s", "s'")):  # a possessive says nothing of what it has
        return word
    start, hyphen, last = word.rpartition("-")
    if hyphen:
        return f"{start}-{to_singular(last)}"
    if word in IRREGULAR:
        return IRREGULAR[word]
    if word in ALWAYS_PLURAL or _is_unchanging(word):
        return word
    return _swap_ending(word, ENDINGS) or _strip_plural_s(word)


def _strip_plural_s(word: str) -> str:
    if not word.endswith("s") or (_S_IN_SINGULAR.fullmatch(word) and word[:-1] not in _ONLY_S):
        return word
    if word[:-1] in _ONLY_S:
        return word[:-1]
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    # 'buses' is of 'bus', but 'houses' is of 'house', though 'hous' looks like a singular in s.
    of_one_in_s = _S_IN_SINGULAR.fullmatch(word[:-2]) and not re.search(r"[ao]uses$", word)
    return word[:-2] if of_one_in_s or re.search(r"(sh|ch|x|zz|tz|o)es$", word) else word[:-1]


def _swap_ending(word: str, endings: dict[str, str]) -> str:
    """Return the word with the other ending of a pair; '' where it has none of them."""
    found = next((ending for ending in endings if word.endswith(ending)), "")
    return word.removesuffix(found) + endings[found] if found and word not in _NO_SUCH_ENDING else ""


def _is_unchanging(word: str) -> bool:
    return word in UNCHANGING or word.endswith("fish")


def to_plural(word: str) -> str:
    """Return the usual plural of a noun; a plural stays as it is.

    >>> [to_plural(word) for word in ("circle", "box", "cherry", "bus", "workman", "tomato", "fish", "scissors")]
    ['circles', 'boxes', 'cherries', 'buses', 'workmen', 'tomatoes', 'fish', 'scissors']
    """
    if is_plural(word):
        return word
    # The first of several plurals is the usual one: octopuses before octopi.
    known = next((plural for plural, singular in IRREGULAR.items() if singular == word), "")
    if known := known or _swap_ending(word, {singular: plural for plural, singular in ENDINGS.items()}):
        return known
    if re.search(r"[^aeiou]y$", word):
        return word[:-1] + "ies"
    if re.search(r"(s|sh|ch|x|z)$", word) or word in ("tomato", "potato", "hero", "mango", "echo"):
        return word + "es"
    return word + "s"
