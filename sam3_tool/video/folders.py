"""A folder of frames: images of one size whose names say their order."""

import re
from hashlib import blake2b, file_digest
from pathlib import Path

from sam3_tool.errors import ImageError, VideoError
from sam3_tool.image import Image
from sam3_tool.video.memory import compute_regular_times

SUFFIXES = frozenset((".png", ".jpg", ".jpeg", ".webp", ".avif", ".bmp", ".tif", ".tiff", ".jp2", ".ppm", ".pgm"))
"""What names of frames end in."""
_RATE = 24.0


class FrameFolder:
    """The images of a folder, in natural order: frame 2 comes before frame 10."""

    def __init__(self, folder: Path, *, max_pixels: int, frame_rate: float | None) -> None:
        self._max_pixels = max_pixels
        self._paths = _list_frames(folder)
        first = self._read_image(0)
        self.width, self.height = first.width, first.height
        self.times = compute_regular_times(len(self._paths), _RATE if frame_rate is None else frame_rate)
        self.notes: tuple[str, ...] = ()

    def read_frame(self, index: int) -> Image:
        return self._read_image(index)

    def _read_image(self, index: int) -> Image:
        try:
            return Image.open(self._paths[index], max_pixels=self._max_pixels)
        except ImageError as error:
            raise VideoError(f"frame {index} of the folder cannot be read: {error}") from error

    def compute_key(self) -> str:
        digest = blake2b(self.times.tobytes(), digest_size=16)
        for path in self._paths:
            with path.open("rb") as file:
                digest.update(file_digest(file, "blake2b").digest())
        return digest.hexdigest()


def _list_frames(folder: Path) -> list[Path]:
    paths = [path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and not path.name.startswith(".")]
    if not paths:
        raise VideoError("the folder holds no images; expected frames such as 00000.jpg, 00001.jpg")
    return sorted(paths, key=lambda path: to_natural_key(path.name))


def to_natural_key(name: str) -> list[tuple[int, int, str]]:
    """Convert a name so that numbers in it are compared as numbers."""
    parts = re.split(r"(\d+)", name.casefold())
    return [(1, int(part), "") if part.isdecimal() else (0, 0, part) for part in parts]
