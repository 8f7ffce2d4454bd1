"""Video files that tests write: small, with a gradient that moves, so that no two frames are equal."""

from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

RATE = 24


def draw_frames(count: int, height: int = 64, width: int = 96) -> list[np.ndarray]:
    """Return frames, uint8, (height, width, 3): a grey that rises, and a red square that moves right."""
    frames = [np.full((height, width, 3), 8 * index % 256, np.uint8) for index in range(count)]
    for index, frame in enumerate(frames):
        frame[10:30, index % (width - 20) :][:, :20] = (255, 0, 0)
    return frames


def write_clip(
    path: Path,
    frames: Iterable[np.ndarray],
    codec: str = "libx264",
    *,
    pixel_format: str = "yuv420p",
    options: Mapping[str, str] | None = None,
    stamps: Sequence[int] | None = None,
    attributes: Mapping[str, Any] | None = None,
    container: Mapping[str, str] | None = None,
    format: str = "rgb24",
) -> Path:
    """Encode frames.

    Args:
        path: Its name says the container.
        frames: uint8, (height, width, 3), or with 4 bands in the format "rgba".
        codec: FFmpeg's name of an encoder.
        pixel_format: Of the file.
        options: Of the encoder.
        stamps: When each is shown, in 24ths of a second; default: one after the other.
        attributes: Of the encoder's context, e.g. `color_range`.
        container: Options of the container, e.g. `movflags`.
        format: Of the frames.
    """
    with av.open(str(path), "w", options=dict(container or {})) as file:
        stream = file.add_stream(codec, rate=RATE, options=dict(options or {}))
        assert isinstance(stream, av.VideoStream)
        for name, value in (attributes or {}).items():
            setattr(stream.codec_context, name, value)
        for index, pixels in enumerate(frames):
            if index == 0:
                stream.height, stream.width = pixels.shape[:2]
                stream.pix_fmt = pixel_format
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format)
            frame.pts, frame.time_base = index if stamps is None else stamps[index], Fraction(1, RATE)
            file.mux(stream.encode(frame))
        file.mux(stream.encode())
    return path


def copy_clip(source: Path, path: Path, *, skip: int = 0, **display: Any) -> Path:
    """Copy a file's packets to another file, which turns them as `set_display_rotation` says it."""
    with av.open(str(source)) as read, av.open(str(path), "w") as written:
        stream = written.add_stream_from_template(read.streams.video[0])
        if display:
            stream.set_display_rotation(**display)
        for index, packet in enumerate(read.demux(read.streams.video[0])):
            if packet.dts is not None and index >= skip:
                packet.stream = stream
                written.mux(packet)
    return path


def decode_clip(path: Path) -> list[np.ndarray]:
    """Decode a file from its start as PyAV does it without us; RGB."""
    with av.open(str(path)) as file:
        return [frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)]
