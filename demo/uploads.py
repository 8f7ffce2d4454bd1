"""What a visitor sends becomes a `Picture`, of which only the pixels are kept, a conversation, or one sentence."""

from dataclasses import dataclass
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from agent.conversation import Conversation
from agent.conversation_file import load
from agent.transcript import TranscriptError
from sam3_tool import Picture, PictureError
from sam3_tool.picture import FORMATS

MEGA = 10**6


@dataclass(frozen=True)
class Limits:
    """What one picture, or one saved conversation, may be."""

    pixels: int = 50 * MEGA
    bytes: int = 40 * 2**20
    masks: int = 2000
    """Each is outlined for the page."""
    steps: int = 4000
    """Of a conversation; a click takes four: a turn, and three calls."""

    @property
    def visit(self) -> int:
        """Bytes that all pictures of one visit may have in memory: those of three of the largest, at least 64 MiB."""
        return max(64 * 2**20, 3 * 3 * self.pixels)


def opened(path: str | Path, limits: Limits) -> Picture:
    """The picture in an uploaded file, which is removed. Raises PictureError with a sentence for the page.

    Size and kind are read off the head of the file before anything is decoded. What is returned holds pixels only: no
    name, no place, no other metadata of the file.
    """
    file = Path(path)
    try:
        _check(file, limits)
        return Picture.open(file)
    except PictureError as error:
        # without the path, which is of no use to a visitor
        raise PictureError(f"{file.name}{str(error).removeprefix(str(file))}") from error
    finally:
        file.unlink(missing_ok=True)


def reopened(path: str | Path, limits: Limits) -> Conversation:
    """The conversation in an uploaded file, which is removed. Raises TranscriptError with a sentence for the page.

    Its pictures may have as many pixels together as one picture; that, and how many masks and steps there are, is known
    before any of them is decoded.
    """
    file = Path(path)
    try:
        if told := _too_many_bytes(file, limits):
            raise TranscriptError(f"{file}: {told}")
        return load(file, most_pixels=limits.pixels, most_masks=limits.masks, most_steps=limits.steps)
    except TranscriptError as error:
        raise TranscriptError(str(error).replace(str(file), file.name)) from error
    finally:
        file.unlink(missing_ok=True)


def _too_many_bytes(file: Path, limits: Limits) -> str:
    """A sentence, or nothing."""
    size = file.stat().st_size if file.is_file() else 0
    if size <= limits.bytes:
        return ""
    return f"{size / 2**20:.0f} MiB; this page takes files up to {limits.bytes / 2**20:.0f} MiB. Save it smaller."


def _check(file: Path, limits: Limits) -> None:
    """Raises PictureError for what is too large; a file that is no picture is left to `Picture.open`."""
    if told := _too_many_bytes(file, limits):
        raise PictureError(f"{file}: {told}")
    width, height = _size(file)
    if width * height > limits.pixels:
        raise PictureError(
            f"{file}: {width} x {height} is {width * height / MEGA:.0f} megapixels; this page takes up to"
            f" {limits.pixels / MEGA:g}. Reduce it and try again."
        )


def _size(file: Path) -> tuple[int, int]:
    """Width and height in pixels, off the head of the file; (0, 0) where there is none."""
    try:
        with Image.open(file, formats=FORMATS) as image:
            return image.size
    except (OSError, UnidentifiedImageError, SyntaxError, ValueError, Image.DecompressionBombError):
        return 0, 0
