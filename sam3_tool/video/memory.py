"""Frames that are in memory already."""

from collections.abc import Sequence
from hashlib import blake2b

import numpy as np

from sam3_tool.errors import VideoError
from sam3_tool.image import Image

DEFAULT_FRAME_RATE = 24.0
"""Frames a second where nothing says it: of frames in a folder or in memory. DAVIS is shown at that rate."""


class ImageSequence:
    """Images of one size, shown one after the other at a fixed rate.

    Raises:
        VideoError: There is no image, or they differ in size.
        ValueError: The frame rate is not above 0.
    """

    notes: tuple[str, ...] = ()

    def __init__(self, images: Sequence[Image], frame_rate: float) -> None:
        if not images:
            raise VideoError("no images, and a video has at least one frame")
        first = images[0]
        self.width, self.height = first.width, first.height
        for index, image in enumerate(images):
            if (image.width, image.height) != (self.width, self.height):
                raise VideoError(
                    f"image {index} is {image.width} x {image.height} and image 0 is {self.width} x {self.height};"
                    " the frames of a video have one size"
                )
        self._images = tuple(images)
        self.times = compute_regular_times(len(images), frame_rate)

    def read_frame(self, index: int) -> Image:
        """Return a frame."""
        return self._images[index]

    def compute_key(self) -> str:
        """Return a digest of the frames and their times."""
        digest = blake2b(self.times.tobytes(), digest_size=16)
        for image in self._images:
            digest.update(bytes.fromhex(image.key))
        return digest.hexdigest()


def compute_regular_times(count: int, frame_rate: float) -> np.ndarray:
    """Return float64, (count,), seconds at a fixed number of frames a second.

    Raises:
        ValueError: The frame rate is not above 0.
    """
    if not 0 < frame_rate < float("inf"):
        raise ValueError(f"`frame_rate` must be above 0, got {frame_rate}")
    times = np.arange(count) / frame_rate
    times.flags.writeable = False
    return times
