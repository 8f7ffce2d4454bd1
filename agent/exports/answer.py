"""What every format is made from: a picture, and the masks that are its answer."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from agent.episode import Candidate
from sam3_tool.picture import FORMATS, Picture
from sam3_tool.rle import areas, decode

MODEL = "sam3-agent"
"""What made the masks, for formats that ask."""
NAMELESS = "object"
"""The category of a mask that no phrase found, e.g. one that was clicked."""

_ENDINGS = {".jpg", ".tif", *(f".{name.lower()}" for name in FORMATS)}
_REFUSED = '<>:"|?*\\/'
_LONGEST, _LONGEST_SUFFIX = 200, 20
"""Bytes of a name in UTF-8, before its last dot and from there: file systems take 255, a format's ending included."""


@dataclass(frozen=True, eq=False)
class Answer:
    picture: Picture
    candidates: tuple[Candidate, ...]
    """Each has a pixel at least."""
    name: str
    """The picture's file name, with no folder in it."""
    reasons: Mapping[int, str]
    """Why a mask belongs to the answer, by its number."""

    @classmethod
    def of(cls, picture: Picture, candidates: Sequence[Candidate], name: str, reasons: Mapping[int, str]) -> "Answer":
        """Raises ValueError for masks of another size than the picture's."""
        size = picture.height, picture.width
        for one in candidates:
            if one.rle.size != size:
                raise ValueError(f"mask {one.id} is {one.rle.size}, the picture is {size} (height, width)")
        filled = areas([one.rle for one in candidates]) > 0
        kept = tuple(one for one, some in zip(candidates, filled, strict=True) if some)
        return cls(picture, kept, _harmless(name), reasons)

    @staticmethod
    def stem_of(name: str) -> str:
        """The file name without the ending that tells a picture's format.

        >>> Answer.stem_of("photos/scene.final.png"), Answer.stem_of("../.."), Answer.stem_of("what?.v2")
        ('scene.final', 'picture', 'what_.v2')
        """
        path = PurePosixPath(_harmless(name))
        return path.stem if path.suffix.lower() in _ENDINGS else path.name

    @property
    def stem(self) -> str:
        return self.stem_of(self.name)

    @property
    def categories(self) -> list[str]:
        """Each once, in the order of the masks."""
        return list(dict.fromkeys(category(one) for one in self.candidates))

    def masks(self) -> Iterator[tuple[Candidate, np.ndarray]]:
        """Each with its mask, bool (height, width), one at a time."""
        return ((one, decode(one.rle)) for one in self.candidates)

    def from_below(self) -> Iterator[tuple[Candidate, np.ndarray]]:
        """As `masks`, the highest score last: what lies on top where masks overlap. Of equals, the earlier one is."""
        order = sorted(reversed(self.candidates), key=lambda one: one.score)
        return ((one, decode(one.rle)) for one in order)

    def facts(self, one: Candidate) -> dict[str, Any]:
        """What is known of a mask beside its pixels."""
        reason = self.reasons.get(one.id, "")
        return {
            "id": one.id,
            "phrase": one.phrase,
            "score": round(one.score, 4),
            **({"reason": reason} if reason else {}),
        }


def category(candidate: Candidate) -> str:
    """Its phrase, on one line, without what is no letter to any format."""
    line = " ".join(candidate.phrase.split())
    return "".join(letter for letter in line if letter.isprintable()) or NAMELESS


def as_json(content: object) -> bytes:
    """What is not Unicode in a text becomes a question mark."""
    return json.dumps(content, ensure_ascii=False).encode(errors="replace")


def _harmless(name: str) -> str:
    """The last part of a path, with letters that any file system takes; 'picture' where nothing is left.

    >>> _harmless("C:\\\\photos\\\\a:b.png"), _harmless("..")
    ('a_b.png', 'picture')
    """
    last = name.replace("\\", "/").rstrip("/").rpartition("/")[2]
    clean = "".join(letter if letter.isprintable() and letter not in _REFUSED else "_" for letter in last)
    path = Path(clean.strip(" ."))
    return _cut(path.stem, _LONGEST) + _cut(path.suffix, _LONGEST_SUFFIX) or "picture"


def _cut(text: str, most: int) -> str:
    """As many whole letters of its beginning as fit into `most` bytes."""
    return text.encode()[:most].decode(errors="ignore")
