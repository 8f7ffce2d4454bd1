"""Frames in any order from what can only be decoded forwards: each is decoded once where memory allows it."""

from collections.abc import Iterator
from threading import Lock
from typing import Generic, Protocol, TypeVar

import numpy as np

from sam3_tool.cache import ByteCache
from sam3_tool.image import Image

REMEMBERED_BYTES = 64 * 2**20
"""Room for frames as they are decoded, and as much again for those that were asked for: 10 frames of full HD each."""

Raw = TypeVar("Raw")


class Decoder(Protocol[Raw]):
    """What decodes frames one after the other."""

    def find_start(self, index: int) -> int:
        """Return the last frame, not after `index`, from which decoding can begin."""

    def decode_from(self, start: int) -> Iterator[tuple[int, Raw]]:
        """Yield every frame from `start` on with its number; `start` is what `find_start` returned."""

    def to_pixels(self, raw: Raw) -> np.ndarray:
        """Convert a frame to uint8, (height, width, 3), RGB, upright."""


class FrameReader(Generic[Raw]):
    """Frames of a decoder in any order, for any number of threads."""

    def __init__(self, decoder: Decoder[Raw], width: int, height: int) -> None:
        frame_bytes = width * height * 3
        budget = max(REMEMBERED_BYTES, 2 * frame_bytes)
        self._decoder = decoder
        self._raws: ByteCache[int, Raw] = ByteCache(budget, size=lambda raw: frame_bytes)
        self._images: ByteCache[int, Image] = ByteCache(budget, size=lambda image: frame_bytes)
        self._running: Iterator[tuple[int, Raw]] | None = None
        self._next = 0
        self._lock = Lock()

    def read_frame(self, index: int) -> Image:
        """Return a frame that the decoder has."""
        with self._lock:
            image = self._images.get(index)
            if image is None:
                raw = self._raws.get(index)
                image = Image(self._decoder.to_pixels(self._decode_frame(index) if raw is None else raw))
                self._images[index] = image
            return image

    def _decode_frame(self, index: int) -> Raw:
        """Decode on to a frame, or from the last start before it where that is nearer. Frames on the way are kept."""
        start = self._decoder.find_start(index)
        running = self._running
        if running is None or not start <= self._next <= index:
            running = self._decoder.decode_from(start)
        self._running = None  # until this has gone well
        for number, raw in running:
            self._raws[number] = raw
            if number == index:
                self._running, self._next = running, number + 1
                return raw
        raise AssertionError(f"frame {index} was promised and not decoded")


def describe_cut(count: int) -> str:
    """Say that a file ends early, after so many frames."""
    return f"The file is cut off or damaged after frame {count - 1}; what follows is not read."
