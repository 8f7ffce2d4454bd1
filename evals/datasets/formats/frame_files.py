"""Videos of benchmarks: frames that a file lists, each an image of its own."""

from collections.abc import Callable, Sequence
from functools import partial
from hashlib import blake2b
from pathlib import Path

from sam3_tool import Image, ImageError, Video, VideoError
from sam3_tool.video.memory import compute_regular_times


class FrameFiles:
    """The images of a list, shown one after the other at a fixed rate."""

    notes: tuple[str, ...] = ()

    def __init__(self, paths: Sequence[Path], frame_rate: float) -> None:
        """Raises VideoError for a list without a frame, or whose first one cannot be read."""
        if not paths:
            raise VideoError("a video without a single frame")
        self._paths = tuple(paths)
        first = self.read_frame(0)
        self.width, self.height = first.width, first.height
        self.times = compute_regular_times(len(paths), frame_rate)

    def read_frame(self, index: int) -> Image:
        try:
            return Image.open(self._paths[index])
        except ImageError as error:
            raise VideoError(f"frame {index} cannot be read: {error}") from error

    def compute_key(self) -> str:
        digest = blake2b(self.times.tobytes(), digest_size=16)
        for path in self._paths:
            digest.update(blake2b(path.read_bytes()).digest())
        return digest.hexdigest()


def make_video_opener(paths: Callable[[], Sequence[Path]], frame_rate: float) -> Callable[[], Video]:
    """Open the video of these frames when it is called."""
    return partial(_open_frames, paths, frame_rate)


def _open_frames(paths: Callable[[], Sequence[Path]], frame_rate: float) -> Video:
    return Video(FrameFiles(paths(), frame_rate))


def make_first_frame_opener(
    frames: Callable[[], Sequence[Path]], check_truth: Callable[[], object] = lambda: None
) -> Callable[[], Image]:
    """Read the first of a video's frames when it is called, after all that belongs to it was looked at.

    It raises ImageError if any of the frames is missing, and what `check_truth` raises.
    """

    def open_image() -> Image:
        check_truth()
        paths = frames()
        if not paths:
            raise ImageError("a video without a single annotated frame")
        for path in paths:
            if not path.is_file():
                raise ImageError(f"{path}: no such file, though it is annotated")
        return Image.open(paths[0])

    return open_image
