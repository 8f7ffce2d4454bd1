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
from sam3_tool.image_files.reading import BOMBS, DAMAGE, FORMATS, convert_to_rgb, guard_pillow
from sam3_tool.video.decoding import FrameReader

ANIMATION_FORMATS = ("GIF", "WEBP", "PNG", "AVIF")
_DEFAULT_SECONDS = 0.1
"""How long browsers show a frame that gives no duration, or one of 10 ms or less."""


def is_image_head(head: bytes) -> bool:
    """Whether a file that begins like this is one that Pillow should read."""
    return (
        head.startswith((b"GIF8", b"\x89PNG", b"\xff\xd8\xff", b"BM", b"II*\0", b"MM\0*"))
        or (head[:4] == b"RIFF" and head[8:12] == b"WEBP")
        or head[4:12] in (b"ftypavif", b"ftypavis")
    )


class AnimationFile:
    """An animation, of which each frame is drawn on top of those before."""

    def __init__(self, path: Path, *, max_pixels: int) -> None:
        self._path, self._max_pixels = path, max_pixels
        with self._open_image() as image:
            count = getattr(image, "n_frames", 1)
            if image.format not in ANIMATION_FORMATS or count < 2:
                raise VideoError(
                    f"a single image ({image.format}, {image.width} x {image.height}), not a video;"
                    " segment it as an image, or give the folder with the frames"
                )
            self.width, self.height = image.size
            self.times = self._read_times(image, count)
        self.notes: tuple[str, ...] = ()
        self._reader: FrameReader[PIL.Image.Image] = FrameReader(self, self.width, self.height)

    def _open_image(self) -> PIL.Image.Image:
        try:
            with guard_pillow(self._max_pixels):
                image = PIL.Image.open(os.fspath(self._path), formats=FORMATS)
            check_pixel_count(*image.size, self._max_pixels)
            return image
        except (ImageError, *BOMBS) as error:
            raise VideoError(str(error)) from error
        except DAMAGE as error:
            raise VideoError(f"cannot be read as an animation ({error})") from error

    def _read_times(self, image: PIL.Image.Image, count: int) -> np.ndarray:
        seconds = []
        for index in range(count - 1):
            image.seek(index)
            image.load()
            duration = float(image.info.get("duration", 0) or 0) / 1000
            seconds.append(duration if duration > 0.01 else _DEFAULT_SECONDS)
        times = np.concatenate([[0.0], np.cumsum(seconds)])
        times.flags.writeable = False
        return times

    def read_frame(self, index: int) -> Image:
        return self._reader.read_frame(index)

    def compute_key(self) -> str:
        with self._path.open("rb") as file:
            return file_digest(file, "blake2b").hexdigest()[:32]

    def find_start(self, index: int) -> int:
        return 0

    def decode_from(self, start: int) -> Iterator[tuple[int, PIL.Image.Image]]:
        with self._open_image() as image:
            for index in range(start, len(self.times)):
                image.seek(index)
                yield index, image.copy()

    def to_pixels(self, raw: PIL.Image.Image) -> np.ndarray:
        return convert_to_rgb(raw)
