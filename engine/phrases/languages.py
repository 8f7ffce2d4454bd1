"""Whether a phrase is English: SAM 3's text encoder has read little else."""

import unicodedata

from agent.planners.grammar.vocabulary import FOREIGN_ARTICLES, FOREIGN_JOINS, FOREIGN_WORDS

_ENGLISH_TOO = {
    *("con", "de", "den", "des", "die", "dos", "e", "el", "en", "grande", "gross", "het", "il", "klein", "la", "links"),
    *("mit", "negro", "o", "og", "os", "petit", "petite", "rode", "rot", "rote", "sin", "sous", "sur", "un", "verde"),
    *("vert", "y", "dans", "le", "les"),
}
"""Words that are, or begin, English names too: 'die cast car', 'la croix can', 'petite woman'."""
_ARTICLES = FOREIGN_ARTICLES - _ENGLISH_TOO
_CERTAIN = (FOREIGN_JOINS | FOREIGN_WORDS) - _ENGLISH_TOO


def find_foreign_word(text: str) -> str:
    """Return the word that shows that a text is not English; '' where there is none.

    A foreign noun alone cannot be told from a name, so it passes.

    Args:
        text: Any text.

    >>> [find_foreign_word(text) for text in ("der Hund", "perro rojo", "café table", "die cast car")]
    ['der', 'rojo', '', '']
    """
    words = text.casefold().split()
    for place, word in enumerate(words):
        if any(_is_other_script(letter) for letter in word):
            return word
        if len(words) > 1 and (word in _CERTAIN or (place == 0 and _is_article(words))):
            return word
    return ""


def _is_article(words: list[str]) -> bool:
    """Whether the first word is an article of another language; one that is English too needs a second sign."""
    rest = words[1:]
    foreign = any(word in FOREIGN_JOINS or not word.isascii() for word in rest)
    return words[0] in _ARTICLES or (words[0] in FOREIGN_ARTICLES and foreign)


def _is_other_script(letter: str) -> bool:
    return letter.isalpha() and not letter.isascii() and not unicodedata.name(letter, "").startswith("LATIN")
