"""What a path holds as a video: a file for PyAV, a folder of frames, or an animation for Pillow."""

from pathlib import Path
from typing import TYPE_CHECKING

from sam3_tool.errors import MissingPackageError, VideoError
from sam3_tool.image_files.file_kinds import HEAD_BYTES, describe_file_kind
from sam3_tool.video.animations import AnimationFile, is_image_head
from sam3_tool.video.folders import FrameFolder
from sam3_tool.video.memory import DEFAULT_FRAME_RATE

if TYPE_CHECKING:
    from sam3_tool.video.video import FrameSource

_READABLE_KINDS = ("a video", "not an image but a sound file")
"""Kinds of files that PyAV knows more about."""


def open_frame_source(path: Path, *, max_pixels: int, frame_rate: float | None) -> "FrameSource":
    """Open a path that should hold a video.

    Raises:
        VideoError: It holds none.
        MissingPackageError: It is a video file, and PyAV is not installed.
    """
    try:
        if path.is_dir():
            rate = DEFAULT_FRAME_RATE if frame_rate is None else frame_rate
            return FrameFolder(path, max_pixels=max_pixels, frame_rate=rate)
        _check_file(path)
        if frame_rate is not None:
            raise VideoError("the file has time stamps of its own; a frame rate is for a folder of frames")
        return _open_file(path, max_pixels)
    except MissingPackageError as error:
        raise MissingPackageError(f"{format_path(path)}: {error}") from error
    except VideoError as error:
        raise VideoError(f"{format_path(path)}: {error}") from error
    except (OSError, ValueError) as error:  # ValueError: a name with a NUL character
        raise VideoError(f"{format_path(path)}: {_describe_system_error(error)}") from error


def _check_file(path: Path) -> None:
    """Let only regular files pass: a pipe would block, and a device never ends."""
    if path.exists() and not path.is_file():
        raise VideoError("not a regular file, so its end is not known; save the stream as a file first")
    if path.stat().st_size == 0:
        raise VideoError("the file is empty")


def _describe_system_error(error: Exception) -> str:
    match error:
        case FileNotFoundError():
            return "no such file"
        case PermissionError():
            return "no permission to read it"
        case OSError():
            return f"cannot be read ({error.strerror})"
    return f"cannot be read ({error})"


def _open_file(path: Path, max_pixels: int) -> "FrameSource":
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if is_image_head(head):
        return AnimationFile(path, max_pixels=max_pixels)
    kind = describe_file_kind(head)
    if kind and not kind.startswith(_READABLE_KINDS):
        raise VideoError(kind.replace("not an image but", "not a video but"))
    return _open_video_file(path, max_pixels)


def _open_video_file(path: Path, max_pixels: int) -> "FrameSource":
    try:
        from sam3_tool.video.container.files import VideoFile  # its package is an extra
    except ModuleNotFoundError as error:
        if error.name != "av":
            raise
        raise MissingPackageError(
            "to read video files, the package av is needed, which is not installed;"
            " run `pip install 'sam3-agent[video]'`"
        ) from error
    return VideoFile(path, max_pixels=max_pixels)


def format_path(path: Path) -> str:
    """Return a path as one line of printable letters."""
    name = str(path)
    return name if name.isprintable() else repr(name)
