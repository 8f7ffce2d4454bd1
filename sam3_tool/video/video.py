"""The one video type: upright RGB frames with time stamps, decoded when somebody asks for them."""

import re
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np

from sam3_tool.errors import VideoError
from sam3_tool.image import Image
from sam3_tool.image_files.limits import get_max_pixels
from sam3_tool.video.memory import DEFAULT_FRAME_RATE, ImageSequence
from sam3_tool.video.opening import open_frame_source


class FrameSource(Protocol):
    """Where a video's frames come from.

    >>> from sam3_tool import Image, Video
    >>> Video.from_images([Image(np.zeros((4, 6, 3), np.uint8))]).source.width
    6
    """

    @property
    def width(self) -> int:
        """Width of every frame in pixels."""

    @property
    def height(self) -> int:
        """Height of every frame in pixels."""

    @property
    def times(self) -> np.ndarray:
        """float64, (T,), when each frame is shown, in seconds: 0 for the first, and later for each that follows."""

    @property
    def notes(self) -> tuple[str, ...]:
        """A sentence for each thing that was left open, or that is not read."""

    def read_frame(self, index: int) -> Image:
        """Return a frame, in any order, to any number of threads.

        Args:
            index: From 0 to T - 1.

        Returns:
            The frame, upright.
        """

    def compute_key(self) -> str:
        """Return 32 hexadecimal digits that only the same content has."""


class Video:
    """A video as every part of the project sees it: upright RGB frames, each with its true time stamp.

    It is cheap to open and never held as a whole: a frame is decoded when somebody asks for it, and a few of those
    that were decoded last are remembered. Objects of this class may be shared between threads.

    Args:
        source: Where the frames come from. `Video.open` and `Video.from_images` make one.

    >>> video = Video.from_images([Image(np.full((48, 64, 3), value, np.uint8)) for value in (0, 100, 200)])
    >>> len(video), video.width, video.height, video.times.round(3).tolist()
    (3, 64, 48, [0.0, 0.042, 0.083])
    >>> [(index, int(frame.pixels[0, 0, 0])) for index, frame in video.iterate_frames(step=-1)]
    [(2, 200), (1, 100), (0, 0)]
    """

    def __init__(self, source: FrameSource) -> None:
        self.source = source

    @classmethod
    def open(cls, path: str | Path, *, max_pixels: int | None = None, frame_rate: float | None = None) -> "Video":
        """Open a video file, a folder of frames, or an animation.

        A video file is read through once, without decoding it, for the time stamps of its frames. What the file leaves
        open is decided, and told in `notes`.

        Args:
            path: A video file (MP4, MOV, MKV, WebM, AVI, MPEG and others; needs the package `av`), a folder of images
                whose names say their order, or a GIF, WebP, PNG or AVIF animation.
            max_pixels: Refuse larger frames. Default: `SAM3_AGENT_MAX_PIXELS` in the environment, or 89,478,485.
            frame_rate: Frames a second of a folder, which does not say it. Default: 24.

        Returns:
            The video, of which no more than the first frame has been decoded.

        Raises:
            VideoError: There is no video: the file is missing, damaged, too large, endless, or of another kind; or
                the frames of a folder differ in size; or a frame rate is given for what has time stamps.
            MissingPackageError: It is a video file, and the package `av` is not installed.

        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> for number in (2, 10, 1):
        ...     Image(np.full((3, 4, 3), number, np.uint8)).to_pil().save(folder / f"{number}.png")
        >>> video = Video.open(folder, frame_rate=2)
        >>> video.times.tolist(), [int(frame.pixels[0, 0, 0]) for _, frame in video.iterate_frames()]
        ([0.0, 0.5, 1.0], [1, 2, 10])
        """
        if re.match(r"[A-Za-z][A-Za-z0-9+.-]+:/", str(path)):
            raise VideoError(f"{path}: a URL, and here stands the name of a file or a folder; download it first")
        limit = get_max_pixels() if max_pixels is None else max_pixels
        return cls(open_frame_source(Path(path), max_pixels=limit, frame_rate=frame_rate))

    @classmethod
    def from_images(cls, images: Sequence[Image], *, frame_rate: float = DEFAULT_FRAME_RATE) -> "Video":
        """Make a video of images that are in memory.

        Args:
            images: The frames in order, at least one, all of one size.
            frame_rate: Frames a second, above 0.

        Returns:
            A video that shares the images.

        Raises:
            VideoError: There is no image, or they differ in size.
            ValueError: The frame rate is not above 0.

        >>> len(Video.from_images([Image(np.zeros((4, 6, 3), np.uint8))] * 5, frame_rate=10))
        5
        """
        return cls(ImageSequence(images, frame_rate))

    def __len__(self) -> int:
        return len(self.times)

    @property
    def width(self) -> int:
        """Width in pixels, upright."""
        return self.source.width

    @property
    def height(self) -> int:
        """Height in pixels, upright."""
        return self.source.height

    @property
    def times(self) -> np.ndarray:
        """float64, (T,), when each frame is shown, in seconds: 0 for the first, and later for each that follows."""
        return self.source.times

    @property
    def notes(self) -> tuple[str, ...]:
        """A sentence for each thing that the file left open, or that is not read.

        What shows only when frames are decoded, such as damaged ones, is here after that.
        """
        return self.source.notes

    @cached_property
    def key(self) -> str:
        """32 hexadecimal digits, which only the same content has. The first use reads all of the file."""
        return self.source.compute_key()

    def read_frame(self, index: int) -> Image:
        """Decode one frame, or recall it. To read on from the frame before costs least.

        Args:
            index: Number of the frame, from 0 to T - 1.

        Returns:
            The frame, upright.

        Raises:
            IndexError: There is no such frame.
            VideoError: The file cannot be read any more.

        >>> Video.from_images([Image(np.zeros((4, 6, 3), np.uint8))]).read_frame(0).pixels.shape
        (4, 6, 3)
        """
        if not 0 <= index < len(self):
            raise IndexError(f"no frame {index}: the video has {len(self)} frames, counted from 0")
        return self.source.read_frame(index)

    def iterate_frames(
        self, start: int | None = None, stop: int | None = None, *, step: int = 1
    ) -> Iterator[tuple[int, Image]]:
        """Decode frames one after the other. Only a few are held at a time.

        Args:
            start: The first frame. Default: the first of the video, or its last where `step` is negative.
            stop: The frame to end before. Default: none, so that the video is read to its end.
            step: From frame to frame; negative to read backwards.

        Yields:
            Number of the frame, and the frame.

        Raises:
            IndexError: `start` or `stop` lies outside the video.
            ValueError: `step` is 0.

        >>> frames = [Image(np.zeros((4, 6, 3), np.uint8))] * 5
        >>> [index for index, _ in Video.from_images(frames).iterate_frames(1, step=2)]
        [1, 3]
        """
        if step == 0:
            raise ValueError("`step` must not be 0")
        for name, bound in (("start", start), ("stop", stop)):
            if bound is not None and not 0 <= bound <= len(self):
                raise IndexError(f"`{name}` is {bound}: the video has {len(self)} frames, counted from 0")
        for index in range(*slice(start, stop, step).indices(len(self))):
            yield index, self.read_frame(index)
