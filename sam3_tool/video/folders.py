"""A folder of frames: images of one size whose names say their order."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from hashlib import blake2b, file_digest
from itertools import pairwise
from pathlib import Path
from threading import Lock

from sam3_tool.cache import ByteCache
from sam3_tool.errors import ImageError, VideoError
from sam3_tool.image import Image
from sam3_tool.image_files.reading import IMAGE_SUFFIXES, read_image_size
from sam3_tool.video.decoding import REMEMBERED_BYTES
from sam3_tool.video.memory import compute_regular_times

_SYSTEM_NAMES = frozenset(("thumbs.db", "desktop.ini"))
"""What systems leave in a folder of images, beside hidden files."""
_MAX_NAMES = 3
"""How many names a note gives."""


class FrameFolder:
    """The images of a folder, in natural order: frame 2 comes before frame 10.

    Raises:
        VideoError: There are none, they differ in size, one cannot be read, or two have the same name.
        ValueError: The frame rate is not above 0.
    """

    def __init__(self, folder: Path, *, max_pixels: int, frame_rate: float) -> None:
        self._max_pixels = max_pixels
        self._paths, self.notes = _list_frames(folder)
        self.times = compute_regular_times(len(self._paths), frame_rate)
        self.width, self.height = self._read_common_size()
        self._images: ByteCache[int, Image] = ByteCache(REMEMBERED_BYTES, size=lambda image: image.pixels.nbytes)
        self._lock = Lock()

    def _read_common_size(self) -> tuple[int, int]:
        first: tuple[int, int] | None = None
        for path in self._paths:
            try:
                width, height = read_image_size(path, self._max_pixels)
            except ImageError as error:
                raise VideoError(f"a frame cannot be read: {error}") from error
            first = first or (width, height)
            if (width, height) != first:
                raise VideoError(
                    f"{path.name} is {width} x {height} and {self._paths[0].name} is {first[0]} x {first[1]};"
                    " the frames of a video have one size"
                )
        assert first is not None  # there is at least one frame
        return first

    def read_frame(self, index: int) -> Image:
        """Return a frame."""
        with self._lock:
            image = self._images.get(index)
            if image is None:
                image = self._images[index] = self._read_image(self._paths[index])
            return image

    def _read_image(self, path: Path) -> Image:
        try:
            image = Image.open(path, max_pixels=self._max_pixels)
        except ImageError as error:
            raise VideoError(f"a frame cannot be read: {error}") from error
        if (image.width, image.height) != (self.width, self.height):
            raise VideoError(f"{path}: {image.width} x {image.height}, and it was {self.width} x {self.height} before")
        return image

    def compute_key(self) -> str:
        """Return a digest of the files, whatever their names."""
        digest = blake2b(self.times.tobytes(), digest_size=16)
        for path in self._paths:
            with path.open("rb") as file:
                digest.update(file_digest(file, "blake2b").digest())
        return digest.hexdigest()


def _list_frames(folder: Path) -> tuple[list[Path], tuple[str, ...]]:
    """Return the frames in order, and what is said of other files."""
    try:
        found = [path for path in folder.iterdir() if not path.name.startswith(".")]
    except OSError as error:
        raise VideoError(f"the folder cannot be read ({error.strerror})") from error
    files = [path for path in found if path.is_file() and path.name.casefold() not in _SYSTEM_NAMES]
    frames = sorted(filter(_has_image_name, files), key=lambda path: to_natural_key(path.name))
    if not frames:
        raise VideoError("a folder without images; expected frames in it, such as 00000.jpg, 00001.jpg and so on")
    _check_names(frames)
    others = sorted(path.name for path in files if not _has_image_name(path))
    left_out = [f"Left out of the folder, as not named like images: {_join_names(others)}."] if others else []
    return frames, (*left_out, *_describe_gaps(frames))


def _describe_gaps(frames: Sequence[Path]) -> Iterator[str]:
    """Say that the numbers of frames leave some out, for times are counted in frames that are there."""
    numbers = [int(found[-1]) for path in frames if (found := re.findall(r"[0-9]+", path.stem))]
    steps = {later - earlier for earlier, later in pairwise(numbers)}
    if len(numbers) == len(frames) and len(steps) > 1 and min(steps) > 0:
        yield (
            f"The numbers from {frames[0].name} to {frames[-1].name} leave gaps;"
            " the frames are shown one after the other all the same."
        )


def _has_image_name(path: Path) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES


def _check_names(frames: Sequence[Path]) -> None:
    """Refuse two files of one name, as where masks lie beside frames."""
    name, count = Counter(path.stem for path in frames).most_common(1)[0]
    if count > 1:
        twins = [path.name for path in frames if path.stem == name]
        raise VideoError(f"{twins[0]} and {twins[1]} would be the same frame; keep one kind of files in the folder")


def _join_names(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MAX_NAMES} more" if len(names) > _MAX_NAMES else ""
    return ", ".join(names[:_MAX_NAMES]) + more


def to_natural_key(name: str) -> list[tuple[int, int, str]]:
    """Convert a name so that its numbers are compared as numbers.

    >>> sorted(["frame10.png", "frame9.png", "Frame1.png"], key=to_natural_key)
    ['Frame1.png', 'frame9.png', 'frame10.png']
    """
    parts = re.split(r"([0-9]+)", name.casefold())
    return [(1, int(part), "") if part.isdecimal() else (0, 0, part) for part in parts]
