"""What a file of another tool holds: masks with classes, by the name of the image that they lie in."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from sam3_tool.errors import UserError
from sam3_tool.masks.rle import RleMask, from_polygons, merge_masks

MAX_FILE_MASKS = 100_000
"""Masks that one file may hold."""


class ImportFileError(UserError, ValueError):
    """A file cannot be read. The message is a sentence that begins with the file's name."""


@dataclass(frozen=True)
class ImportedMask:
    """Hold a mask that is drawn once the size of its image is known."""

    label: str
    """Its class; it may be empty."""
    draw: Callable[[int, int], RleMask]
    """Draws it in an image of this height and width. Raises ValueError where it does not fit."""
    score: float = 1.0
    """In [0, 1]."""


@dataclass(frozen=True)
class ImportedImage:
    """Hold the masks of one image."""

    name: str
    """The image's file name as the file has it, perhaps with folders before it."""
    masks: tuple[ImportedMask, ...]
    width: int | None = None
    """Pixels, where the file says so."""
    height: int | None = None
    """Pixels, where the file says so."""

    @property
    def stem(self) -> str:
        """The name without folders and without its ending."""
        return PurePosixPath(self.name.replace("\\", "/")).stem


def draw_polygons(polygons: Sequence[Sequence[float]], height: int, width: int) -> RleMask:
    """Draw polygons, each x0, y0, x1, y1, … in pixels, as one mask.

    Raises ValueError for what is no polygon.
    """
    drawn = from_polygons(polygons, height, width)
    if not drawn:
        raise ValueError("a mask has no polygon")
    return merge_masks(drawn)


def check_score(score: object) -> float:
    """Return a score in [0, 1]; 1 where the file has none."""
    return min(1.0, max(0.0, float(score))) if isinstance(score, int | float) and score == score else 1.0
