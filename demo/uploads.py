"""Uploaded files: an image, of which only the pixels are kept, a video, or a conversation, within limits."""

import re
from dataclasses import dataclass
from pathlib import Path

import PIL.Image
from PIL import UnidentifiedImageError

from agent.conversation.conversation import Conversation
from sam3_tool import Image, ImageError, Video
from sam3_tool.errors import RecordError, UserError, VideoError
from sam3_tool.image_files.reading import FORMATS

MEGA = 10**6


@dataclass(frozen=True)
class Limits:
    """The limits of one image or of one saved conversation."""

    max_pixels: int = 65 * MEGA
    """Sensors of "50" and "64 megapixels" write up to 50.4 and 64.2."""
    max_file_bytes: int = 40 * 2**20
    max_masks: int = 2000
    """Masks of a conversation; the page gets an outline of each."""
    max_steps: int = 4000
    """Images, turns and steps of a conversation; a click takes four: a turn, and three calls."""
    max_images: int = 500
    """Of the film strip of one visitor."""
    max_album_bytes: int = 2**30
    """Bytes of the files of one visitor."""
    max_frames: int = 900
    """Of a video: half a minute at 30 frames a second. Each of them is searched for every query."""

    @property
    def max_session_bytes(self) -> int:
        """Bytes of all images of a session in memory: room for three of the largest, at least 64 MiB."""
        return max(64 * 2**20, 3 * 3 * self.max_pixels)


def open_image(path: str | Path, limits: Limits) -> Image:
    """Open the image in an uploaded file.

    Size and format are read off the head of the file before anything is decoded.

    Args:
        path: The uploaded file.
        limits: What an image may have.

    Returns:
        The upright pixels alone: no name, no place, no other metadata of the file.

    Raises:
        ImageError: One sentence for the page.
    """
    file = Path(path)
    try:
        _check_image(file, limits)
        return Image.open(file, max_pixels=limits.max_pixels)
    except ImageError as error:
        # without the path, which is of no use to a visitor
        raise ImageError(f"{file.name}{str(error).removeprefix(str(file))}") from error


def open_video(path: str | Path, limits: Limits) -> Video:
    """Open an uploaded video, whose frames are read from the file when they are needed.

    Args:
        path: The uploaded file.
        limits: What a video may have.

    Returns:
        The video.

    Raises:
        VideoError: One sentence for the page.
        MissingPackageError: The server cannot read videos.
    """
    file = Path(path)
    try:
        if problem := _describe_excess_bytes(file, limits):
            raise VideoError(f"{file}: {problem}")
        video = Video.open(file, max_pixels=limits.max_pixels)
        if len(video) > limits.max_frames:
            raise VideoError(
                f"{file}: {len(video):,} frames; this page takes videos of up to {limits.max_frames:,}. Cut it shorter."
            )
    except UserError as error:
        # without the path and the options of the program, which are of no use to a visitor
        said = re.sub(r", or raise the limit with .*", "", str(error).removeprefix(str(file)))
        raise type(error)(f"{file.name}{said}") from error
    return video


def open_conversation(path: str | Path, limits: Limits) -> Conversation:
    """Open the conversation in an uploaded file.

    All of its images together may have as many pixels as one image. Pixels, masks and steps are counted before any
    image is decoded.

    Args:
        path: The uploaded file.
        limits: What a conversation may have.

    Returns:
        The conversation.

    Raises:
        RecordError: One sentence for the page.
    """
    file = Path(path)
    try:
        if problem := _describe_excess_bytes(file, limits):
            raise RecordError(f"{file}: {problem}")
        return Conversation.open(
            file, max_pixels=limits.max_pixels, max_masks=limits.max_masks, max_steps=limits.max_steps
        )
    except RecordError as error:
        raise RecordError(str(error).replace(str(file), file.name)) from error


def _describe_excess_bytes(file: Path, limits: Limits) -> str:
    """A sentence for a file that is too large; '' for any other."""
    size = file.stat().st_size if file.is_file() else 0
    if size <= limits.max_file_bytes:
        return ""
    return (
        f"{size / 2**20:.0f} MiB; this page takes files up to {limits.max_file_bytes / 2**20:.0f} MiB. Save it smaller."
    )


def _check_image(file: Path, limits: Limits) -> None:
    """Raises ImageError for what is too large; a file that is no image is left to `Image.open`."""
    if problem := _describe_excess_bytes(file, limits):
        raise ImageError(f"{file}: {problem}")
    width, height = _read_size(file)
    if width * height > limits.max_pixels:
        raise ImageError(
            f"{file}: {width} x {height} is {width * height / MEGA:.0f} megapixels; this page takes up to"
            f" {limits.max_pixels / MEGA:g}. Reduce it and try again."
        )


def _read_size(file: Path) -> tuple[int, int]:
    """Width and height in pixels, off the head of the file; (0, 0) if it is no image."""
    try:
        with PIL.Image.open(file, formats=FORMATS) as image:
            return image.size
    except (OSError, UnidentifiedImageError, SyntaxError, ValueError, PIL.Image.DecompressionBombError):
        return 0, 0
