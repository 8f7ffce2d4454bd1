"""Video files, read with PyAV: found by their packets' stamps, decoded from key frames."""

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import file_digest
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from sam3_tool.errors import VideoError
from sam3_tool.image import Image
from sam3_tool.video.decoding import FrameReader


class VideoFile:
    """One stream of a video file."""

    def __init__(self, path: Path, *, max_pixels: int) -> None:
        self._path, self._max_pixels = path, max_pixels
        self._container = av.open("file:" + str(path))
        self._stream = self._container.streams.video[0]
        self._index = _read_index(self._container, self._stream)
        self.notes: tuple[str, ...] = ()
        time_base = float(self._stream.time_base or 1)
        stamps = self._index.stamps
        self.times = (stamps - stamps[0]) * time_base
        self.times.flags.writeable = False
        _, first = next(self.decode_from(0))
        pixels = self.to_pixels(first)
        self.height, self.width = pixels.shape[:2]
        self._reader: FrameReader[VideoFrame] = FrameReader(self, self.width, self.height)

    def read_frame(self, index: int) -> Image:
        return self._reader.read_frame(index)

    def compute_key(self) -> str:
        with self._path.open("rb") as file:
            return file_digest(file, "blake2b").hexdigest()[:32]

    def find_start(self, index: int) -> int:
        return int(self._index.keys[np.searchsorted(self._index.keys, index, side="right") - 1])

    def decode_from(self, start: int) -> Iterator[tuple[int, VideoFrame]]:
        self._container.seek(int(self._index.stamps[start]), stream=self._stream)
        expected, last = start, None
        for frame in self._container.decode(self._stream):
            if frame.pts is None:
                continue
            number = int(np.searchsorted(self._index.stamps, frame.pts))
            if number < expected:
                continue
            if last is not None:
                for missing in range(expected, number):
                    yield missing, last
            yield number, frame
            expected, last = number + 1, frame
        if last is not None:
            for missing in range(expected, len(self._index.stamps)):
                yield missing, last

    def to_pixels(self, raw: VideoFrame) -> np.ndarray:
        return np.rot90(raw.to_ndarray(format="rgb24"), raw.rotation // 90)


@dataclass(frozen=True, eq=False)
class PacketIndex:
    """When each frame is shown, and from which frames decoding can begin."""

    stamps: np.ndarray
    """int64, (T,), in units of the stream, increasing."""
    keys: np.ndarray
    """int64, (K,), numbers of key frames, increasing."""


def _read_index(container: InputContainer, stream: VideoStream) -> PacketIndex:
    packets = [
        (packet.pts, packet.is_keyframe)
        for packet in container.demux(stream)
        if packet.size and packet.pts is not None and not packet.is_discard
    ]
    if not packets:
        raise VideoError("no frames")
    packets.sort()
    stamps = np.array([stamp for stamp, _ in packets], np.int64)
    keys = np.flatnonzero([is_key for _, is_key in packets])
    return PacketIndex(stamps, keys)
