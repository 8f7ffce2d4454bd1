"""The words of the generated world: what can stand in a scene, and what it may be called."""

SHAPES = (
    "circle", "square", "triangle", "star", "ring", "cross",
    "heart", "crescent", "pentagon", "arrow", "diamond", "semicircle",
)  # fmt: skip

COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (214, 38, 40),
    "green": (44, 158, 62),
    "blue": (44, 84, 214),
    "yellow": (242, 220, 58),
    "orange": (246, 140, 28),
    "purple": (126, 46, 172),
    "pink": (250, 150, 196),
    "cyan": (60, 208, 220),
    "white": (245, 245, 245),
    "black": (24, 24, 27),
}
"""RGB around which a shape's colour is drawn."""

PATTERNS = ("plain", "striped", "dotted")
SIZES = ("small", "medium", "large")
"""'medium' is the size that nobody mentions: phrases say small or large."""

THINGS: dict[str, str] = {
    "dog": "🐕", "cat": "🐈", "horse": "🐎", "cow": "🐄", "pig": "🐖", "sheep": "🐑", "rabbit": "🐇",
    "elephant": "🐘", "lion": "🦁", "monkey": "🐒", "bird": "🐦", "duck": "🦆", "owl": "🦉", "penguin": "🐧",
    "fish": "🐠", "whale": "🐳", "turtle": "🐢", "snake": "🐍", "frog": "🐸", "butterfly": "🦋", "bee": "🐝",
    "car": "🚗", "bus": "🚌", "truck": "🚚", "bicycle": "🚲", "train": "🚂", "airplane": "🛩", "rocket": "🚀",
    "boat": "⛵", "helicopter": "🚁", "tractor": "🚜",
    "apple": "🍎", "banana": "🍌", "lemon": "🍋", "grapes": "🍇", "strawberry": "🍓", "cherry": "🍒",
    "watermelon": "🍉", "pear": "🍐", "pineapple": "🍍",
    "bread": "🍞", "cheese": "🧀", "pizza": "🍕", "burger": "🍔", "cake": "🎂", "egg": "🥚", "carrot": "🥕",
    "mushroom": "🍄", "donut": "🍩",
    "cup": "☕", "chair": "🪑", "umbrella": "☂", "clock": "⏰", "book": "📕", "key": "🔑", "bell": "🔔",
    "guitar": "🎸", "ball": "⚽", "balloon": "🎈", "gift": "🎁", "hat": "🎩", "shoe": "👟", "camera": "📷",
    "phone": "📱", "tree": "🌳", "flower": "🌻", "cactus": "🌵", "house": "🏠",
}  # fmt: skip
"""Noun -> the emoji that draws it."""

NOUNS = (*SHAPES, *THINGS)

HYPERNYMS: dict[str, frozenset[str]] = {
    "animal": frozenset(list(THINGS)[: list(THINGS).index("car")]),
    "vehicle": frozenset(list(THINGS)[list(THINGS).index("car") : list(THINGS).index("apple")]),
    "fruit": frozenset(list(THINGS)[list(THINGS).index("apple") : list(THINGS).index("bread")]),
    "food": frozenset(list(THINGS)[list(THINGS).index("apple") : list(THINGS).index("cup")]),
    "plant": frozenset({"tree", "flower", "cactus"}),
    "shape": frozenset(SHAPES),
    "object": frozenset(NOUNS),
    "thing": frozenset(NOUNS),
}
"""Word -> the nouns it covers."""

THING_COLOURS: dict[str, str] = {
    "frog": "green", "turtle": "green", "snake": "green", "bird": "blue", "whale": "blue", "pig": "pink",
    "sheep": "white", "car": "red", "bus": "blue", "helicopter": "yellow", "tractor": "green",
    "apple": "red", "strawberry": "red", "cherry": "red", "banana": "yellow", "lemon": "yellow", "pear": "green",
    "grapes": "purple", "cheese": "yellow", "carrot": "orange", "umbrella": "purple", "book": "red", "key": "yellow",
    "bell": "yellow", "guitar": "red", "balloon": "red", "hat": "black", "shoe": "blue", "tree": "green",
    "cactus": "green",
}  # fmt: skip
"""Things whose image has one colour that anybody would name."""

SYNONYMS: dict[str, tuple[str, ...]] = {
    "circle": ("disc", "round shape"), "square": ("box",), "ring": ("hoop",), "cross": ("plus sign",),
    "crescent": ("crescent moon",), "diamond": ("rhombus",), "arrow": ("pointer",), "semicircle": ("half circle",),
    "dog": ("puppy",), "cat": ("kitten",), "rabbit": ("bunny",), "bird": ("songbird",), "turtle": ("tortoise",),
    "bicycle": ("bike",), "airplane": ("plane", "aeroplane"), "boat": ("sailboat",), "train": ("locomotive",),
    "car": ("automobile",), "truck": ("lorry",), "burger": ("hamburger",), "donut": ("doughnut",),
    "cup": ("coffee cup", "mug"), "gift": ("present",), "ball": ("football", "soccer ball"), "hat": ("top hat",),
    "shoe": ("sneaker",), "phone": ("mobile phone",), "clock": ("alarm clock",), "flower": ("sunflower",),
    "cake": ("birthday cake",), "house": ("home", "building"), "key": ("golden key",),
}  # fmt: skip

COLOUR_SYNONYMS = {"purple": "violet", "cyan": "turquoise"}
PATTERN_WORDS = {"plain": ("plain", "solid"), "striped": ("striped", "stripy"), "dotted": ("dotted", "spotted")}
SIZE_WORDS = {"small": ("small", "little", "tiny"), "large": ("large", "big", "huge")}

IRREGULAR_PLURALS = {
    "cactus": "cacti", "sheep": "sheep", "fish": "fish", "grapes": "grapes", "bread": "bread", "fruit": "fruit",
    "food": "food", "woman": "women", "man": "men", "child": "children", "person": "people", "mouse": "mice",
    "wolf": "wolves", "knife": "knives", "scissors": "scissors", "glasses": "glasses", "dice": "dice", "deer": "deer",
    "tomato": "tomatoes", "potato": "potatoes", "snowman": "snowmen", "rice": "rice", "broccoli": "broccoli",
}  # fmt: skip

STRANGERS = (
    "person", "man", "woman", "child", "zebra", "giraffe", "camel", "kangaroo", "goat", "wolf", "fox", "deer",
    "mouse", "rat", "spider", "ant", "crab", "shark", "dolphin", "lobster", "parrot", "swan", "eagle", "bat",
    "crocodile", "dinosaur", "robot", "ghost", "skeleton", "snowman", "mountain", "river", "cloud", "rain", "fire",
    "rock", "beach", "road", "bridge", "tower", "castle", "church", "tent", "barn", "fence", "gate", "table", "desk",
    "sofa", "bed", "lamp", "window", "door", "mirror", "pillow", "blanket", "towel", "carpet", "bottle", "glass",
    "plate", "bowl", "fork", "knife", "spoon", "pan", "oven", "fridge", "sink", "bucket", "broom", "hammer", "saw",
    "nail", "screwdriver", "wrench", "drill", "rope", "ladder", "scissors", "pencil", "paper", "envelope",
    "newspaper", "laptop", "keyboard", "computer", "television", "printer", "microphone", "radio", "piano", "drum",
    "violin", "trumpet", "flute", "bag", "backpack", "suitcase", "wallet", "coin", "crown", "sword", "shield",
    "helmet", "jacket", "shirt", "dress", "sock", "glove", "scarf", "glasses", "watch", "necklace", "potato",
    "tomato", "onion", "pepper", "corn", "broccoli", "rice", "soup", "salad", "sausage", "cookie", "chocolate",
    "candy", "ice", "peach", "mango", "kiwi", "coconut", "hexagon", "octagon", "oval", "spiral", "letter", "number",
    "skateboard", "scooter", "motorcycle", "taxi", "ship", "submarine", "anchor", "kite", "doll", "dice", "puzzle",
    "statue", "vase", "candle", "soap", "brush", "comb",
)  # fmt: skip
"""Nouns that never stand in a scene: the model learns that words it does not know are absent."""


def pluralize_noun(noun: str) -> str:
    """Return the plural of a noun of this world.

    >>> [pluralize_noun(noun) for noun in ("cherry", "cactus", "box", "toy", "fish")]
    ['cherries', 'cacti', 'boxes', 'toys', 'fish']
    """
    if noun in IRREGULAR_PLURALS:
        return IRREGULAR_PLURALS[noun]
    if noun.endswith(("s", "x", "sh", "ch")):
        return noun + "es"
    if noun.endswith("y") and noun[-2] not in "aeiou":
        return noun[:-1] + "ies"
    return noun + "s"


def list_known_words() -> list[str]:
    """Return every word that a phrase of this world may hold, sorted: what the checkpoint can be said to know."""
    nouns = [*NOUNS, *HYPERNYMS, *(word for words in SYNONYMS.values() for word in words)]
    spellings = (*PATTERN_WORDS.values(), *SIZE_WORDS.values())
    adjectives = [*COLOURS, *COLOUR_SYNONYMS.values(), *(word for words in spellings for word in words)]
    articles = ["the", "a", "an", "all", "every", "any"]
    phrases = [*nouns, *map(pluralize_noun, nouns), *adjectives, *articles]
    return sorted({word for phrase in phrases for word in phrase.split()})
