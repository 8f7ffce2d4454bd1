"""Emoji to words: coloured ones are adjectives, and others name a thing where no word does."""

import re
import unicodedata

COLOURS_BY_EMOJI = {
    **dict.fromkeys("\U0001f534\U0001f7e5", "red"),
    **dict.fromkeys("\U0001f535\U0001f7e6", "blue"),
    **dict.fromkeys("\U0001f7e0\U0001f7e7", "orange"),
    **dict.fromkeys("\U0001f7e1\U0001f7e8", "yellow"),
    **dict.fromkeys("\U0001f7e2\U0001f7e9", "green"),
    **dict.fromkeys("\U0001f7e3\U0001f7ea", "purple"),
    **dict.fromkeys("\U0001f7e4\U0001f7eb", "brown"),
    **dict.fromkeys("\u26ab\u2b1b", "black"),
    **dict.fromkeys("\u26aa\u2b1c", "white"),
}
"""Circles and squares of one colour."""
_COLOURED = re.compile(rf"([{''.join(COLOURS_BY_EMOJI)}])\ufe0f?(?=\s*[^\W\d_])")
_THINGS = re.compile(
    "([\U0001f300-\U0001f5ff\U0001f680-\U0001f6ff\U0001f900-\U0001faff\u2600-\u27bf\u2b50])(?:\\ufe0f?\\1)*"
)
_ONLY_ASKS = re.compile(
    r"(?:the|an?|all|every|each|any|both|please|pls|find|show|me|select|mark|segment|where|is|are|how|many|and|or|count|\W)*",
    re.IGNORECASE,
)
_NO_NAME = re.compile(r"\b(?:face|heavy|black|white|medium|symbol|sign|emoji|variation selector.*)\b")
_NO_THING = re.compile(r"hand|finger|thumb|heart|sparkle|mark|check|cross|arrow|person with folded|clap|smil|grin")


def name_emoji(text: str) -> str:
    """Write emoji as words: colours before a word, and things where the text names none itself.

    >>> name_emoji("\U0001f534 circles"), name_emoji("the \U0001f436"), name_emoji("the dog \U0001f436")
    ('red circles', 'the dog', 'the dog \U0001f436')
    """
    text = _COLOURED.sub(lambda found: f"{COLOURS_BY_EMOJI[found[1]]} ", text).replace("  ", " ")
    return _THINGS.sub(_name_thing, text).strip() if _THINGS.search(text) and _ONLY_ASKS.fullmatch(text) else text


def _name_thing(found: re.Match[str]) -> str:
    """Return what Unicode calls a thing, without what it says of its drawing; itself for what is none."""
    name = unicodedata.name(found[1], "").lower()
    if not name or _NO_THING.search(name):
        return found[0]
    return f"{' '.join(_NO_NAME.sub('', name).split())} "
