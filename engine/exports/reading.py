"""How images are named in files for others, so that whoever opens them plainly sees the pixels that were labelled."""

import os
from collections.abc import Iterable
from hashlib import file_digest
from pathlib import Path

import numpy as np
import PIL.Image

from engine.errors import EngineError
from engine.media.images import EngineImage
from sam3_tool.errors import ImageError
from sam3_tool.image import Image

ORIENTATION = 0x0112
"""EXIF's tag."""


def opens_plainly(image: EngineImage) -> bool:
    """Return whether Pillow's `open(path).convert("RGB")` gives the pixels that were labelled.

    Photographs that lie on their side, and images of other kinds than 8-bit grey or RGB, may look otherwise there.

    Args:
        image: Its file must be readable.

    Raises:
        ImageError: It has more pixels than Pillow opens.
        OSError: It cannot be read.
    """
    try:
        opened = PIL.Image.open(image.path)
    except PIL.Image.DecompressionBombError as error:
        raise ImageError(f"{image.path} has more pixels than the trainer opens; add a smaller one") from error
    with opened as file:
        if file.mode in ("L", "RGB") and file.getexif().get(ORIENTATION, 1) == 1:
            return file.size == (image.width, image.height)
        pixels = np.asarray(file.convert("RGB"))
    return Image(pixels).key == image.key


def save_upright_copy(image: EngineImage, folder: Path) -> Path:
    """Save the pixels that were labelled as a PNG file, and return its path. Raises ImageError."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{image.key}.png"
    PIL.Image.fromarray(image.open_pixels().pixels).save(path)
    return path


def check_pixels(image: EngineImage) -> None:
    """Check that an image's file still holds the pixels that were labelled; the very same file need not be decoded.

    Raises:
        ImageError: It is gone, damaged, or holds other pixels now.
    """
    try:
        with image.path.open("rb") as file:
            if image.original_hash and file_digest(file, "sha256").hexdigest() == image.original_hash:
                return
    except OSError as error:
        raise ImageError(f"{image.path} cannot be read ({error.strerror or error}); put it back") from error
    image.open_pixels()


def find_common_folder(paths: Iterable[Path]) -> Path:
    """Return the deepest folder that holds all images. Raises EngineError where they lie on several drives."""
    folders = {str(path.absolute().parent) for path in paths}
    try:
        return Path(os.path.commonpath(folders)) if folders else Path.cwd()
    except ValueError as error:
        raise EngineError(
            "the images lie on several drives, and an export takes one folder; put them on one drive and begin anew"
        ) from error


class ImageNamer:
    """Names images relative to the folder that holds all of them; those that would look otherwise are saved anew.

    Args:
        images: All that may be asked about.
        folder: The export's, which holds nothing yet.
        unfinished: Where it is written until it is whole.

    Raises:
        EngineError: The images lie on several drives.
    """

    def __init__(self, images: Iterable[EngineImage], folder: Path, unfinished: Path) -> None:
        self.root = find_common_folder(image.path for image in images)
        self._copies: dict[str, Path] = {}
        self._folder, self._unfinished = folder, unfinished
        self._names: dict[str, str | ImageError] = {}

    def name_image(self, image: EngineImage) -> str:
        """Return an image's name, relative to `root` or absolute. Raises ImageError where its pixels are gone."""
        if image.key not in self._names:
            try:
                check_pixels(image)
                self._names[image.key] = self._make_name(image)
            except ImageError as error:
                self._names[image.key] = error
        name = self._names[image.key]
        if isinstance(name, ImageError):
            raise name
        return name

    @property
    def copied(self) -> int:
        """Images saved anew so far."""
        return len(self._copies)

    def find_copy(self, image: EngineImage) -> Path | None:
        """Return where an image was saved anew; None where it was not."""
        return self._copies.get(image.key)

    def _make_name(self, image: EngineImage) -> str:
        try:
            is_plain = opens_plainly(image)
        except OSError:  # a kind of file that needs more than Pillow
            is_plain = False
        if is_plain:
            return Path(os.path.relpath(image.path.absolute(), self.root)).as_posix()
        copy = self._copies[image.key] = save_upright_copy(image, self._unfinished / "images")
        return (self._folder.absolute() / "images" / copy.name).as_posix()
