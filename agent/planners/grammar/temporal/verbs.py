"""Verbs for what happens in a video, in all their forms, as parts of regular expressions."""

from dataclasses import dataclass
from typing import Literal

Form = Literal["base", "finite", "ing", "any"]
"""'to leave'; 'leaves', 'left'; 'leaving'; all of them, and 'gone'."""

OUTSIDE = r"(?:of )?(?:the |this )?(?:picture|image|frame|view|scene|video|shot|screen|sight|clip)"
"""What is entered and left."""
MOVE = (
    "go", "move", "walk", "run", "head", "travel", "drive", "fly", "swim", "roll", "ride", "slide", "step", "float",
    "drift", "hurry", "race", "crawl", "come", "slip", "glide", "gallop", "hop", "sail", "trot",
)  # fmt: skip
"""Verbs that need a word for the direction."""

_IRREGULAR = {
    "become": ("became", "become"),
    "come": ("came", "come"),
    "drive": ("drove", "driven"),
    "fall": ("fell", "fallen"),
    "fly": ("flew", "flown"),
    "get": ("got", "gotten"),
    "go": ("went", "gone"),
    "grow": ("grew", "grown"),
    "hit": ("hit", "hit"),
    "leave": ("left", "left"),
    "lie": ("lay", "lain"),
    "overtake": ("overtook", "overtaken"),
    "ride": ("rode", "ridden"),
    "rise": ("rose", "risen"),
    "run": ("ran", "run"),
    "shrink": ("shrank", "shrunk"),
    "sink": ("sank", "sunk"),
    "sit": ("sat", "sat"),
    "slide": ("slid", "slid"),
    "stand": ("stood", "stood"),
    "strike": ("struck", "struck"),
    "swim": ("swam", "swum"),
}
"""Verb -> its past, and its participle."""
_DOUBLING = {"drop", "get", "hit", "hop", "run", "sit", "slip", "step", "stop", "swim", "trot"}
"""Their last letter is doubled before -ing and -ed."""


@dataclass(frozen=True)
class VerbPhrase:
    """Verbs, each of which says the same with the words after it."""

    verbs: tuple[str, ...]
    tail: str = ""
    """Of a regular expression, with the space before it."""

    def to_pattern(self, form: Form) -> str:
        """Return a regular expression for one form of it."""
        return rf"(?:{'|'.join(spelling for verb in self.verbs for spelling in list_spellings(verb, form))}){self.tail}"


def list_spellings(verb: str, form: Form) -> list[str]:
    """Return how a form of a verb is written.

    >>> list_spellings("go", "finite"), list_spellings("move", "ing"), list_spellings("pass", "any")
    (['go', 'goes', 'went'], ['moving'], ['pass', 'passes', 'passed', 'passing'])
    """
    match form:
        case "base":
            return [verb]
        case "ing":
            return [_add_ing(verb)]
        case "finite":
            return [verb, _add_s(verb), _find_pasts(verb)[0]]
    return list(dict.fromkeys([verb, _add_s(verb), *_find_pasts(verb), _add_ing(verb)]))


def join_patterns(phrases: tuple[VerbPhrase, ...], form: Form) -> str:
    """Return a regular expression for any of these."""
    return "|".join(phrase.to_pattern(form) for phrase in phrases)


def _add_s(verb: str) -> str:
    if verb.endswith("y"):
        return f"{verb[:-1]}ies"
    return f"{verb}es" if verb.endswith(("s", "sh", "ch", "x", "z", "o")) else f"{verb}s"


def _add_ing(verb: str) -> str:
    if verb.endswith("ie"):
        return f"{verb[:-2]}ying"
    return f"{verb.removesuffix('e')}{verb[-1] * (verb in _DOUBLING)}ing"


def _find_pasts(verb: str) -> tuple[str, str]:
    regular = f"{verb[:-1]}ied" if verb.endswith("y") else f"{verb.removesuffix('e')}{verb[-1] * (verb in _DOUBLING)}ed"
    return _IRREGULAR.get(verb, (regular, regular))
