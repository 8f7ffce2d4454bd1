"""Noun phrases as they are compared with each other."""


def normalize_phrase(phrase: str) -> str:
    """Return the phrase in lower case with single spaces.

    Args:
        phrase: Any text.

    Returns:
        The text that two spellings of the same phrase share.

    >>> normalize_phrase("  Red  Circle ")
    'red circle'
    """
    return " ".join(phrase.casefold().split())
