"""What a path holds as a video: a file for PyAV, a folder of frames, or an animation for Pillow."""

from pathlib import Path
from typing import TYPE_CHECKING

from sam3_tool.errors import MissingPackageError, VideoError
from sam3_tool.image_files.file_kinds import HEAD_BYTES
from sam3_tool.video.animations import AnimationFile, is_image_head
from sam3_tool.video.folders import FrameFolder

if TYPE_CHECKING:
    from sam3_tool.video.video import FrameSource


def open_frame_source(path: Path, *, max_pixels: int, frame_rate: float | None) -> "FrameSource":
    """Open a path that should hold a video.

    Raises:
        VideoError: It holds none.
        MissingPackageError: It is a video file, and PyAV is not installed.
    """
    try:
        if path.is_dir():
            return FrameFolder(path, max_pixels=max_pixels, frame_rate=frame_rate)
        head = _read_head(path)
        if frame_rate is not None:
            raise VideoError("the file has time stamps of its own; a frame rate is for a folder of frames")
        if is_image_head(head):
            return AnimationFile(path, max_pixels=max_pixels)
        return _open_video_file(path, max_pixels)
    except MissingPackageError as error:
        raise MissingPackageError(f"{format_path(path)}: {error}") from error
    except VideoError as error:
        raise VideoError(f"{format_path(path)}: {error}") from error


def _read_head(path: Path) -> bytes:
    """Return a file's first bytes. Only regular files are read: a pipe would block, and a device never ends."""
    try:
        if path.exists() and not path.is_file():
            raise VideoError("not a regular file, so its end is not known; save the stream as a file first")
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except FileNotFoundError as error:
        raise VideoError("no such file") from error
    except PermissionError as error:
        raise VideoError("no permission to read it") from error
    except (OSError, ValueError) as error:
        raise VideoError(f"cannot be read ({error})") from error
    if not head:
        raise VideoError("the file is empty")
    return head


def _open_video_file(path: Path, max_pixels: int) -> "FrameSource":
    try:
        from sam3_tool.video.files import VideoFile  # its package is an extra
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
