"""What a path holds: an image, or a video."""

from contextlib import suppress
from pathlib import Path

from sam3_tool.errors import VideoError
from sam3_tool.image import Image
from sam3_tool.image_files.reading import IMAGE_SUFFIXES
from sam3_tool.system.paths import is_file, is_folder
from sam3_tool.video.video import Video

VIDEO_SUFFIXES = (
    *(".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".m2ts", ".mts", ".ts"),
    *(".wmv", ".flv", ".ogv", ".3gp", ".y4m"),
)
HEAD_BYTES = 4096
"""Where an animation says that it is one."""


def open_subject(path: Path, *, max_pixels: int | None) -> Image | Video:
    """Open a video file, a folder of frames, an animation or an image. Raises UserError for what is none of these."""
    if is_folder(path):
        return _open_frames(path, max_pixels)
    if path.suffix.lower() in VIDEO_SUFFIXES or is_animation(path):
        return Video.open(path, max_pixels=max_pixels)
    return Image.open(path, max_pixels=max_pixels)


def has_subject_name(path: Path) -> bool:
    """Whether a file is named like an image or a video.

    >>> [has_subject_name(Path(name)) for name in ("a.JPG", "a.mp4", "a.txt", "jpg")]
    [True, True, False, False]
    """
    return path.suffix.lower() in (*IMAGE_SUFFIXES, *VIDEO_SUFFIXES)


def _open_frames(folder: Path, max_pixels: int | None) -> Video:
    try:
        return Video.open(folder, max_pixels=max_pixels)
    except VideoError as error:
        if not _holds_subjects(folder):
            raise
        raise VideoError(f"{error}; if it holds images and not the frames of a video, add --each") from error


def _holds_subjects(folder: Path) -> bool:
    with suppress(OSError):
        return any(map(has_subject_name, folder.iterdir()))
    return False


def is_animation(path: Path) -> bool:
    """Whether the file is an image of several frames that are shown one after the other."""
    if not is_file(path):
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
