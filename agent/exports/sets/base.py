"""What a data set is made from: images that open again when they are needed, and the masks of each."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from io import BytesIO
from itertools import count
from pathlib import Path, PurePosixPath

import PIL.Image

from agent.core.workspace import Candidate
from agent.exports.answer import ExportAnswer, check_tolerance, get_category
from sam3_tool.image import Image
from sam3_tool.image_files.reading import FORMATS
from sam3_tool.masks.rle import compute_areas

VALIDATION_SHARE = 0.2
"""Of the images, for formats that have a part to train on and one to validate with."""
KEPT_FORMATS = {"JPEG": ".jpg", "PNG": ".png", "WEBP": ".webp", "BMP": ".bmp"}
"""Formats whose files go into a data set as they are, by Pillow's name, and how such files end."""
_ORIENTATION = 0x0112


@dataclass(frozen=True, eq=False)
class SetImage:
    """Hold one image of a data set: its name, its size and its masks. Its pixels are read when they are needed.

    Example:
        >>> image = SetImage("a/cup.png", 6, 4, (), {}, Path("cup.png"), lambda: None)
        >>> image.filled
        ()
    """

    name: str
    """The file's name, perhaps with folders before it; no other image of the set has it."""
    width: int
    """Pixels."""
    height: int
    """Pixels."""
    candidates: tuple[Candidate, ...]
    """The masks, in the size of the image."""
    reasons: Mapping[int, str]
    """Why a mask belongs to the answer, by its number."""
    path: Path
    """The image's file."""
    open_image: Callable[[], Image]
    """Reads the pixels, upright. Raises ImageError."""

    @property
    def filled(self) -> tuple[Candidate, ...]:
        """The masks that have a pixel."""
        areas = compute_areas([candidate.rle for candidate in self.candidates])
        return tuple(candidate for candidate, area in zip(self.candidates, areas, strict=True) if area)

    def read_file(self) -> tuple[str, bytes]:
        """Return how the image's file ends, and its bytes: those that it has, or a PNG where readers might see others.

        Raises ImageError.
        """
        if suffix := _find_kept_suffix(self.path):
            return suffix, self.path.read_bytes()
        file = BytesIO()
        self.open_image().to_pil().save(file, "PNG")
        return ".png", file.getvalue()


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Hold the images of a data set.

    Raises:
        ValueError: Two images have one name, or the tolerance or the share is out of range.

    Example:
        >>> images = [SetImage(f"{n}.png", 6, 4, (), {}, Path(), lambda: None) for n in range(10)]
        >>> [len(part) for part in ImageSet(images).split()]
        [8, 2]
    """

    images: Sequence[SetImage]
    tolerance: float = 0.0
    """Pixels by which polygons may miss a mask's edge; 0 loses nothing."""
    validation_share: float = VALIDATION_SHARE
    """In [0, 1)."""
    categories: tuple[str, ...] = ()
    """Classes that come first, whether or not a mask has them: so that their numbers stay the same."""

    def __post_init__(self) -> None:
        check_tolerance(self.tolerance)
        if not 0 <= self.validation_share < 1:
            raise ValueError(f"a share to validate with is at least 0 and below 1, not {self.validation_share:g}")
        names = Counter(image.name for image in self.images)
        if twice := [name for name, times in names.items() if times > 1]:
            raise ValueError(f"two images of the set are called {twice[0]!r}; give each a name of its own")

    def build_stems(self) -> dict[str, str]:
        """Return a file name without ending for each image, by its name: no two of them are the same on any system.

        >>> images = [SetImage(name, 6, 4, (), {}, Path(), lambda: None) for name in ("b/a.png", "b/a.jpg", "c/a.png")]
        >>> ImageSet(images).build_stems()
        {'b/a.png': 'b-a', 'b/a.jpg': 'b-a-2', 'c/a.png': 'c-a'}
        """
        stems: dict[str, str] = {}
        taken: set[str] = set()
        for image in self.images:
            plain = ExportAnswer.build_stem("-".join(PurePosixPath(image.name).parts))
            numbered = (plain if number == 1 else f"{plain}-{number}" for number in count(1))
            stems[image.name] = next(stem for stem in numbered if stem.casefold() not in taken)
            taken.add(stems[image.name].casefold())
        return stems

    def list_categories(self) -> list[str]:
        """Return every class once: those of `categories`, then those of the masks in their order."""
        found = (get_category(candidate) for image in self.images for candidate in image.filled)
        return list(dict.fromkeys([*self.categories, *found]))

    def split(self) -> tuple[list[SetImage], list[SetImage]]:
        """Return the images to train on and those to validate with.

        An image stays in its part while names and number of the images are the same. Of two or more images one is in
        each part, unless the share is 0; a single one is in both.
        """
        if len(self.images) < 2 or self.validation_share == 0:
            return [*self.images], [*self.images]
        wanted = min(max(1, round(self.validation_share * len(self.images))), len(self.images) - 1)
        ranked = sorted(self.images, key=lambda image: blake2b(image.name.encode(errors="replace")).digest())
        chosen = {image.name for image in ranked[:wanted]}
        return (
            [image for image in self.images if image.name not in chosen],
            [image for image in self.images if image.name in chosen],
        )


@dataclass(frozen=True)
class SetExporter:
    """One format in which a data set is written."""

    suffix: str
    """The ending of the file's name."""
    description: str
    """A few words for people who choose among formats."""
    write: Callable[[ImageSet, Path], None]
    """Writes the set to a path. Raises ImageError where an image can no longer be read, and OSError."""


def _find_kept_suffix(path: Path) -> str:
    """How the file ends if it may stay as it is: upright, of 8 bits a colour, of one frame; else ''."""
    try:
        with PIL.Image.open(path, formats=FORMATS) as image:
            is_plain = image.mode in ("L", "RGB") and getattr(image, "n_frames", 1) == 1
            is_upright = image.getexif().get(_ORIENTATION, 1) == 1
            return KEPT_FORMATS.get(image.format or "", "") if is_plain and is_upright else ""
    except (OSError, ValueError, SyntaxError, PIL.Image.DecompressionBombError):
        return ""
