"""Other names of a thing, from WordNet's own files where a system package has installed them."""

import mmap
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from agent.core.errors import PlannerError

FILES = ("index.noun", "data.noun")
USUAL_FOLDERS = ("/usr/share/wordnet", "/usr/local/share/wordnet/dict", "/opt/homebrew/opt/wordnet/dict")
"""Of Debian's and Ubuntu's package wordnet-base, of a build of one's own, and of Homebrew."""
SENSES = 2
"""Of a noun, the commonest first, whose other names are taken; wider words are those of the first alone."""
MOST_RELATED = 3
"""Phrases that are added for one phrase."""
_WIDER = ("@", "@i")
"""Pointers to what a thing is a kind of, or an instance of."""


class Thesaurus(Protocol):
    """A source of other names for a noun.

    Example:
        >>> from agent.planners.strategies.thesaurus import FixedThesaurus
        >>> known: Thesaurus = FixedThesaurus({"sofa": ("couch",)})
        >>> known.list_related("sofa")
        ('couch',)
    """

    def list_related(self, noun: str) -> Sequence[str]:
        """List other names of a noun.

        Args:
            noun: In the singular; several words with spaces between them.

        Returns:
            The nearest first; none for a noun that it lacks.
        """


@dataclass(frozen=True)
class FixedThesaurus:
    """Other names from a mapping.

    >>> FixedThesaurus({"sofa": ("couch", "seat")}).list_related("sofa")
    ('couch', 'seat')
    """

    related: Mapping[str, Sequence[str]]

    def list_related(self, noun: str) -> Sequence[str]:
        """List what the mapping has."""
        return self.related.get(noun, ())


class WordNet:
    """WordNet's nouns, read where they lie: a look-up maps two files, and keeps nothing in memory.

    Args:
        folder: It holds `index.noun` and `data.noun`, in the format wndb(5WN) of WordNet 3.

    Raises:
        PlannerError: It does not.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        if missing := [name for name in FILES if not (folder / name).is_file()]:
            raise PlannerError(f"{folder} holds no {missing[0]}; expected the files {' and '.join(FILES)} of WordNet")

    def list_related(self, noun: str) -> list[str]:
        """List synonyms of the commonest senses of a noun, then the wider words of its first one.

        Args:
            noun: In the singular, in lower case; several words with spaces between them.

        Returns:
            Each once, the noun itself left out; none for a noun that WordNet lacks.
        """
        senses = [self._read_synset(offset) for offset in self._find_offsets(noun)[:SENSES]]
        names = [name for words, _ in senses for name in words]
        for offset in senses[0][1] if senses else ():
            names += self._read_synset(offset)[0]
        return [name for name in dict.fromkeys(names) if name != noun]

    def _find_offsets(self, noun: str) -> list[int]:
        """Where the synsets of a noun begin in data.noun: lines are 'cup n 8 3 @ ~ + 8 2 03147509 13767879 ...'."""
        written = b"\n" + noun.replace(" ", "_").encode() + b" n "
        with (self.folder / FILES[0]).open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as index:
            start = index.find(written)
            fields = index[start + len(written) : index.find(b"\n", start + 1)].split() if start >= 0 else []
        count = int(fields[0]) if fields else 0
        return [int(field) for field in fields[len(fields) - count :]]

    def _read_synset(self, offset: int) -> tuple[list[str], list[int]]:
        """The words of a synset, and where the wider ones begin.

        A line is 'offset file n words (word id)... pointers (symbol offset pos fields)... | gloss', the number of words
        in hexadecimal.
        """
        with (self.folder / FILES[1]).open("rb") as file:
            file.seek(offset)
            fields = file.readline().decode("utf-8", "replace").split(" | ")[0].split()
        count = int(fields[3], 16)
        words = [word.replace("_", " ").lower() for word in fields[4 : 4 + 2 * count : 2]]
        pointers = fields[5 + 2 * count :]
        pairs = zip(pointers[::4], pointers[1::4], strict=False)
        return words, [int(place) for symbol, place in pairs if symbol in _WIDER]


def load_thesaurus(folders: Iterable[Path] | None = None) -> Thesaurus:
    """Load the thesaurus of this machine.

    Args:
        folders: Where to look; default: `WNSEARCHDIR`, `WNHOME`, and where packages put the files.

    Returns:
        The WordNet of the first of these folders that has one.

    Raises:
        PlannerError: None has.
    """
    searched = _list_folders() if folders is None else folders
    folder = next((folder for folder in searched if (folder / FILES[0]).is_file()), None)
    if folder is None:
        raise PlannerError(
            "the strategy 'thesaurus' needs the files of WordNet, and found none; install them (Debian and Ubuntu:"
            " apt install wordnet-base), set WNSEARCHDIR to their folder, or leave 'thesaurus' out"
        )
    return WordNet(folder)


def _list_folders() -> Iterator[Path]:
    if named := os.environ.get("WNSEARCHDIR"):
        yield Path(named)
    if home := os.environ.get("WNHOME"):
        yield Path(home) / "dict"
    yield from map(Path, USUAL_FOLDERS)


def list_related_phrases(phrase: str, thesaurus: Thesaurus) -> list[str]:
    """List a phrase with other names of its thing in the place of its noun.

    The noun is the longest end of the phrase that the thesaurus has.

    Args:
        phrase: In the singular, e.g. 'red coffee mug'.
        thesaurus: Knows other names.

    Returns:
        At most `MOST_RELATED` phrases.

    >>> list_related_phrases("red sofa", FixedThesaurus({"sofa": ("couch", "lounge", "seat", "furniture")}))
    ['red couch', 'red lounge', 'red seat']
    """
    words = phrase.lower().split()
    for start in range(len(words)):
        if related := thesaurus.list_related(" ".join(words[start:])):
            return [" ".join([*words[:start], name]) for name in related[:MOST_RELATED]]
    return []
