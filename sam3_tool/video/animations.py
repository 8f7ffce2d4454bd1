"""GIF, WebP, PNG and AVIF animations, read with Pillow."""

import os
from collections.abc import Iterator
from hashlib import file_digest
from pathlib import Path

import numpy as np
import PIL.Image

from sam3_tool.errors import ImageError, VideoError
from sam3_tool.image import Image
from sam3_tool.image_files.limits import check_pixel_count
from sam3_tool.image_files.reading import BOMBS, DAMAGE, FORMATS, convert_to_rgb, describe_bomb, guard_pillow
from sam3_tool.video.decoding import FrameReader, describe_cut

_FORMATS = ("GIF", "WEBP", "PNG", "AVIF")
"""Formats of animations. Those of several pages, such as TIFF, say nothing about time."""
_MIN_MILLISECONDS, _DEFAULT_MILLISECONDS = 10, 100
"""Browsers show a frame that gives no more than the one for the other."""


class AnimationFile:
    """An animation, whose frames are drawn one on top of the other.

    Raises:
        VideoError: It is a single image, damaged or too large.
    """

    def __init__(self, path: Path, *, max_pixels: int) -> None:
        self._path, self._max_pixels = path, max_pixels
        with self._open_image() as image:
            self.width, self.height = image.size
            # PNG allows a picture for programs that know no animations, which is not part of it
            self._first = int(bool(image.info.get("default_image")))
            durations = self._read_durations(image)
        if len(durations) < 2:
            raise VideoError(
                f"a single image ({image.format}, {self.width} x {self.height}) and not a video;"
                " give it as an image, or give the folder that holds the frames"
            )
        shown = np.where(durations > _MIN_MILLISECONDS, durations, _DEFAULT_MILLISECONDS) / 1000
        self.times = np.concatenate([[0.0], np.cumsum(shown[:-1])])
        self.times.flags.writeable = False
        self._reader: FrameReader[PIL.Image.Image] = FrameReader(self, self.width, self.height)

    def _open_image(self) -> PIL.Image.Image:
        try:
            with guard_pillow(self._max_pixels):
                image = PIL.Image.open(os.fspath(self._path), formats=FORMATS)
            check_pixel_count(*image.size, self._max_pixels)
            return image
        except BOMBS as error:
            raise VideoError(describe_bomb(error, self._max_pixels)) from error
        except ImageError as error:
            raise VideoError(str(error)) from error
        except DAMAGE as error:
            raise VideoError(f"cannot be read as an animation ({error})") from error

    def _read_durations(self, image: PIL.Image.Image) -> np.ndarray:
        """Decode all frames; return float64, (T,), for how many milliseconds each is shown."""
        durations: list[float] = []
        self.notes: tuple[str, ...] = ()
        try:
            count = getattr(image, "n_frames", 1) if image.format in _FORMATS else 1
            for index in range(self._first, count):
                image.seek(index)
                image.load()
                durations.append(float(image.info.get("duration") or 0))
        except DAMAGE as error:
            if not durations:
                raise VideoError(f"cannot be read as an animation ({error})") from error
            self.notes = (describe_cut(len(durations)),)
        return np.array(durations)

    def read_frame(self, index: int) -> Image:
        """Return a frame."""
        return self._reader.read_frame(index)

    def compute_key(self) -> str:
        """Return a digest of the file."""
        with self._path.open("rb") as file:
            return file_digest(file, "blake2b").hexdigest()[:32]

    def find_start(self, index: int) -> int:
        """Return 0: each frame may show parts of all before it."""
        return 0

    def decode_from(self, start: int) -> Iterator[tuple[int, PIL.Image.Image]]:
        """Yield every frame."""
        with self._open_image() as image:
            for index in range(start, len(self.times)):
                try:
                    image.seek(self._first + index)
                    frame = image.copy()
                except DAMAGE as error:
                    raise VideoError(f"{self._path}: frame {index} cannot be read any more ({error})") from error
                yield index, frame

    def to_pixels(self, raw: PIL.Image.Image) -> np.ndarray:
        """Convert a frame to RGB, on white where it is transparent."""
        return convert_to_rgb(raw)


def is_image_head(head: bytes) -> bool:
    """Whether a file that begins like this is one for Pillow: an animation, or a single image."""
    return (
        head.startswith((b"GIF8", b"\x89PNG", b"\xff\xd8\xff", b"BM", b"II*\0", b"MM\0*"))
        or (head[:4] == b"RIFF" and head[8:12] == b"WEBP")
        or head[4:12] in (b"ftypavif", b"ftypavis")
    )
