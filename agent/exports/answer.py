"""What every format is made from: an image, and the masks that are its answer."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from agent.core.text.sanitizing import drop_unprintable
from agent.core.workspace import Candidate
from sam3_tool.image import Image
from sam3_tool.image_files.reading import FORMATS
from sam3_tool.masks.rle import compute_areas, decode_mask
from sam3_tool.system.file_names import sanitize_file_name

GENERATOR_NAME = "sam3-agent"
"""What made the masks, for formats that ask."""
DEFAULT_NAME = "picture"
"""The name of an image that came from no file."""
MAX_TOLERANCE = 100.0
"""Pixels by which polygons may miss a mask's edge."""
DEFAULT_CATEGORY = "object"
"""The category of a mask that no phrase found, e.g. one that was clicked."""

_SUFFIXES = {
    *(".jpg", ".tif", ".jp2", ".pgm", *(f".{name.lower()}" for name in FORMATS)),
    *(".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".m2ts", ".ogv", ".wmv", ".flv", ".3gp"),
}
"""Of images and of videos."""


@dataclass(frozen=True, eq=False)
class ExportAnswer:
    """Hold what a format is made from: an image, and the masks that are the answer.

    Example:
        >>> scene = Image(np.zeros((4, 6, 3), np.uint8))
        >>> answer = ExportAnswer.from_candidates(scene, [], "photos/scene.png", {})
        >>> answer.name, answer.stem, answer.categories
        ('scene.png', 'scene', [])
    """

    image: Image
    candidates: tuple[Candidate, ...]
    """Each has a pixel at least."""
    name: str
    """The image's file name as it is, with no folder in it: what finds the image again."""
    reasons: Mapping[int, str]
    """Why a mask belongs to the answer, by its number."""
    tolerance: float = 0.0
    """Pixels by which polygons may miss a mask's edge, so that they have fewer points; 0 loses nothing."""

    @classmethod
    def from_candidates(
        cls,
        image: Image,
        candidates: Sequence[Candidate],
        name: str,
        reasons: Mapping[int, str],
        *,
        tolerance: float = 0.0,
    ) -> "ExportAnswer":
        """Check the masks, and leave out those without a pixel.

        Args:
            image: The image that the masks lie in.
            candidates: The masks, in the order of the answer.
            name: The image's file name. Folders before it are left out.
            reasons: Mask id -> why the mask belongs to the answer.
            tolerance: Pixels by which polygons may miss a mask's edge, from 0 to 100.

        Returns:
            What `Exporter.encode` gets.

        Raises:
            ValueError: A mask has another size than the image, or the tolerance is out of range.
        """
        check_tolerance(tolerance)
        size = image.height, image.width
        for candidate in candidates:
            if candidate.rle.size != size:
                raise ValueError(f"mask {candidate.id} is {candidate.rle.size}, the image is {size} (height, width)")
        filled = compute_areas([candidate.rle for candidate in candidates]) > 0
        kept = tuple(candidate for candidate, has_pixels in zip(candidates, filled, strict=True) if has_pixels)
        return cls(image, kept, Path(name).name or DEFAULT_NAME, reasons, tolerance)

    @staticmethod
    def build_stem(name: str) -> str:
        """Return the file name without the ending that tells the format of an image or a video.

        Args:
            name: A file name; it may have folders before it.

        Returns:
            A name that any file system takes; 'picture' where nothing is left.

        >>> [ExportAnswer.build_stem(name) for name in ("photos/scene.final.png", "../..", "what?.v2")]
        ['scene.final', 'picture', 'what_.v2']
        """
        path = PurePosixPath(sanitize_file_name(name, default=DEFAULT_NAME))
        return path.stem if path.suffix.lower() in _SUFFIXES else path.name

    @property
    def stem(self) -> str:
        """The image's file name without the ending that tells its format."""
        return self.build_stem(self.name)

    @property
    def categories(self) -> list[str]:
        """The classes of the masks: each once, in the order of the masks."""
        return list(dict.fromkeys(get_category(candidate) for candidate in self.candidates))

    def iterate_masks(self) -> Iterator[tuple[Candidate, np.ndarray]]:
        """Decode the masks one at a time.

        Returns:
            An iterator over the masks in the order of the answer, each with its pixels, bool (height, width).
        """
        return ((candidate, decode_mask(candidate.rle)) for candidate in self.candidates)

    def iterate_from_below(self) -> Iterator[tuple[Candidate, np.ndarray]]:
        """Decode the masks one at a time, the best score last: it lies on top where masks overlap.

        Returns:
            An iterator over the masks, each with its pixels, bool (height, width). Of equals, the earlier comes last.
        """
        order = sorted(reversed(self.candidates), key=lambda candidate: candidate.score)
        return ((candidate, decode_mask(candidate.rle)) for candidate in order)

    def describe_mask(self, candidate: Candidate) -> dict[str, Any]:
        """Describe a mask beside its pixels.

        Args:
            candidate: A mask of the answer.

        Returns:
            A JSON object with its id, phrase and score in [0, 1], and with class and reason where there are any.
        """
        reason = self.reasons.get(candidate.id, "")
        return {
            "id": candidate.id,
            "phrase": candidate.phrase,
            "score": round(candidate.score, 4),
            **({"class": candidate.label} if candidate.label else {}),
            **({"reason": reason} if reason else {}),
        }


def check_tolerance(tolerance: float) -> float:
    """Return the pixels by which polygons may miss a mask's edge. Raises ValueError unless they are 0 to 100."""
    if not 0 <= tolerance <= MAX_TOLERANCE:
        raise ValueError(f"a tolerance is 0 to {MAX_TOLERANCE:g} pixels, not {tolerance:g}")
    return tolerance


def get_category(candidate: Candidate) -> str:
    """Its class, or else its phrase, on one line, without what is no letter to any format."""
    return to_category(candidate.category)


def to_category(phrase: str) -> str:
    """On one line, without what is no letter to any format."""
    return drop_unprintable(phrase) or DEFAULT_CATEGORY


def to_json_bytes(content: object) -> bytes:
    """What is not Unicode in a text becomes a question mark."""
    return json.dumps(content, ensure_ascii=False).encode(errors="replace")
