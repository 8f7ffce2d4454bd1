"""Frames written as a video file that every browser plays: H.264 in MP4, a frame in memory at a time."""

from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sam3_tool.errors import MissingPackageError
from sam3_tool.video.time_stamps import measure_durations

if TYPE_CHECKING:
    from av.packet import Packet

CLOCK = 90_000
"""Ticks a second, in which stamps are kept: fine enough for any frame rate, exact for the usual ones."""
QUALITY = 20
"""Of x264, as a constant rate factor: 18 looks like the source, 23 is its default."""
BT709 = 1
"""The number of this colour space, and of its curve and primaries, in FFmpeg (libavutil/pixfmt.h)."""


def write_mp4(path: Path, frames: Iterable[np.ndarray], times: Sequence[float], *, quality: int = QUALITY) -> None:
    """Write frames into a file as H.264, each shown at its own time; the index is at the front, so that it streams.

    `frames`: uint8, (H, W, 3), RGB, all of one size; `times`: seconds, one for each, increasing. The first frame is
    shown at 0. An odd width or height gets one more column or row, a copy of the last, because H.264's usual colours
    are kept for squares of four pixels. Raises MissingPackageError without PyAV, OSError where the file cannot be
    written, and ValueError where there is no frame, or not one for each time.
    """
    try:
        import av  # an optional package
    except ModuleNotFoundError as error:
        if error.name != "av":
            raise
        raise MissingPackageError(
            "to write video files, the package av is needed, which is not installed;"
            " run `pip install 'sam3-agent[video]'`"
        ) from error
    stamps = _count_ticks(times)
    remaining = iter(frames)
    first = next(remaining, None)
    if first is None or not stamps:
        raise ValueError("a video has one frame or more, found none")
    with av.open(path, "w", format="mp4", options={"movflags": "+faststart"}) as container:
        stream = container.add_stream("libx264", rate=Fraction(24))
        context = stream.codec_context
        context.height, context.width = (side + side % 2 for side in first.shape[:2])
        context.pix_fmt, context.time_base = "yuv420p", Fraction(1, CLOCK)
        context.colorspace = context.color_primaries = context.color_trc = BT709
        # frames that refer to later ones would be stored out of order, and MP4 counts a file's length by that order
        context.options = {"crf": str(quality), "bf": "0", "preset": "veryfast"}
        seconds = measure_durations([stamp / CLOCK for stamp in stamps])
        durations = {stamp: round(time * CLOCK) for stamp, time in zip(stamps, seconds, strict=True)}
        for frame, stamp in zip(_join_again(first, remaining), stamps, strict=True):
            picture = av.VideoFrame.from_ndarray(_pad_to_even(frame), format="rgb24")
            picture = picture.reformat(format="yuv420p", dst_colorspace=BT709)
            picture.pts, picture.time_base = stamp, Fraction(1, CLOCK)
            container.mux(_set_durations(stream.encode(picture), durations))
        container.mux(_set_durations(stream.encode(None), durations))


def _count_ticks(times: Sequence[float]) -> list[int]:
    """Convert seconds to ticks from 0; frames nearer than one tick stay apart."""
    stamps: list[int] = []
    for time in times:
        stamps.append(max(round((time - times[0]) * CLOCK), stamps[-1] + 1 if stamps else 0))
    return stamps


def _set_durations(packets: "list[Packet]", durations: dict[int, int]) -> "list[Packet]":
    for packet in packets:
        assert packet.pts is not None
        packet.duration = durations[packet.pts]
    return packets


def _join_again(first: np.ndarray, others: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    yield first
    yield from others


def _pad_to_even(frame: np.ndarray) -> np.ndarray:
    height, width = frame.shape[:2]
    return np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), "edge") if height % 2 or width % 2 else frame
