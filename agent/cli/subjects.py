"""What a path on the command line is about: an image, or a video."""

from pathlib import Path
from typing import TYPE_CHECKING

from agent.core.errors import UsageError
from sam3_tool.system.paths import is_folder

if TYPE_CHECKING:
    from agent.core.episode import Task
    from sam3_tool import Image, Video

VIDEO_SUFFIXES = (
    *(".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".m2ts", ".mts", ".ts"),
    *(".wmv", ".flv", ".ogv", ".3gp", ".y4m"),
)
HEAD_BYTES = 4096
"""Where an animation says that it is one."""


def open_subject(path: Path, *, max_pixels: int | None) -> "Image | Video":
    """Open a video file, a folder of frames, an animation or an image. Raises UserError for what is none of these."""
    from sam3_tool import Image, Video

    if is_folder(path) or path.suffix.lower() in VIDEO_SUFFIXES or is_animation(path):
        return Video.open(path, max_pixels=max_pixels)
    return Image.open(path, max_pixels=max_pixels)


def is_animation(path: Path) -> bool:
    """Whether the file is an image of several frames that are shown one after the other."""
    if not path.is_file():
        return False
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except OSError:
        return False
    if head.startswith(b"GIF8"):
        return _has_frames(path)
    webp = head.startswith(b"RIFF") and head[8:12] == b"WEBP" and b"ANIM" in head[:64]
    return webp or (head.startswith(b"\x89PNG") and b"acTL" in head) or head[4:12] == b"ftypavis"


def _has_frames(path: Path) -> bool:
    """Whether a GIF file has more than one frame, which its beginning does not say."""
    import PIL.Image

    try:
        with PIL.Image.open(path, formats=["GIF"]) as image:
            return getattr(image, "n_frames", 1) > 1
    except (OSError, SyntaxError, ValueError):
        return False  # whoever reads it says what is wrong


def build_task(subject: "Image | Video", query: str, *, start: float | None, end: float | None) -> "Task":
    """Build the task of a query about an image, or about a video from `start` to `end` seconds. Raises UsageError."""
    from agent.core.episode import Task
    from sam3_tool import Image

    if isinstance(subject, Image):
        if start is not None or end is not None:
            raise UsageError(f"{'--end' if start is None else '--start'} is for videos, and here stands a picture")
        return Task(subject, query)
    try:
        return Task.from_video(subject, query, since=start, until=end)
    except ValueError as error:
        raise UsageError(f"with --start and --end as given, {error}") from error
