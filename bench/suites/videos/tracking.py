"""Objects followed through a video, in processor time of one thread: the network, and everything around it.

Frames of 1280 x 720 pixels are drawn one by one, so that a video of any length takes no room. The objects are discs and
rectangles, shown by a box on frame 0. Medians are of the second half of the frames, when memories are full.
"""

import statistics
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
import torch

from bench.harness.memory import read_resident_mib
from bench.harness.tables import Table
from sam3_tool import Image, TrackingRules, TrackingSession, Video, VisualPrompt
from sam3_tool.backends.base import LowMasks
from sam3_tool.backends.loading import load_backend
from sam3_tool.tracking.streaming import FRAMES_AHEAD

WIDTH, HEIGHT = 1280, 720
OVERHEAD_TRACKS, OVERHEAD_GOAL = 10, 15
"""The goal: milliseconds a frame for everything but the network."""
COLORS = ((214, 38, 40), (44, 84, 214), (40, 160, 60), (230, 180, 20), (150, 40, 160), (20, 20, 20), (240, 120, 30))


@dataclass(frozen=True)
class DrawnFrames:
    """The frames of a video with some objects that drift, drawn when they are asked for."""

    length: int
    tracks: int
    width: int = WIDTH
    height: int = HEIGHT
    notes: tuple[str, ...] = ()

    @property
    def times(self) -> np.ndarray:
        return np.arange(self.length) / 24.0

    def locate_object(self, number: int, index: int) -> tuple[int, int, int, int]:
        """Return x0 y0 x1 y1 of an object on a frame."""
        columns = max(4, round(self.tracks**0.5 * 1.3))
        step = self.width // columns
        drift = round(0.15 * step * np.sin(index / 17 + number))
        left, top = 20 + step * (number % columns) + drift, 20 + step * (number // columns) * 0.85
        return int(left), int(top), int(left + 0.5 * step), int(top + 0.45 * step)

    def read_frame(self, index: int) -> Image:
        pixels = np.full((self.height, self.width, 3), 208, np.uint8)
        for number in range(self.tracks):
            x0, y0, x1, y1 = self.locate_object(number, index)
            if number % 2:
                cv2.rectangle(pixels, (x0, y0), (x1 - 1, y1 - 1), COLORS[number % len(COLORS)], -1)
            else:
                center, axes = ((x0 + x1) // 2, (y0 + y1) // 2), ((x1 - x0) // 2, (y1 - y0) // 2)
                cv2.ellipse(pixels, center, axes, 0, 0, 360, COLORS[number % len(COLORS)], -1)
        return Image(pixels)

    def compute_key(self) -> str:
        return f"{self.tracks:032x}"


@dataclass
class Stopwatch:
    """Collects milliseconds of processor time by part."""

    spent: dict[str, float] = field(default_factory=lambda: defaultdict(float))

    @contextmanager
    def __call__(self, part: str) -> Iterator[None]:
        began = time.process_time()
        yield
        self.spent[part] += 1000 * (time.process_time() - began)


class TimedBackend:
    """A video backend whose network is timed; its memory is its own `ObjectMemory`."""

    def __init__(self, backend: Any, stopwatch: Stopwatch) -> None:
        self.stopwatch, self._backend = stopwatch, backend
        self.memory: Any = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)

    def open_memory(self, height: int, width: int, length: int) -> "TimedMemory":
        memory = self.memory = TimedMemory(self._backend.open_memory(height, width, length), self.stopwatch)
        return memory

    def encode_apart(self, images: Sequence[Image]) -> list[Any]:
        """Encode frame by frame, so that no frame pays for another one."""
        with self.stopwatch("encode"):
            return [self._backend.encode([image])[0] for image in images]


class TimedMemory:
    """An `ObjectMemory` that times what it does with the network."""

    def __init__(self, memory: Any, stopwatch: Stopwatch) -> None:
        self._memory, self._stopwatch = memory, stopwatch

    def __getattr__(self, name: str) -> Any:
        return getattr(self._memory, name)

    def propagate(self, embedding: Any, frame: int, *, reverse: bool = False) -> LowMasks:
        with self._stopwatch("follow"):
            found: LowMasks = self._memory.propagate(embedding, frame, reverse=reverse)
            return found


class TimedVideo(Video):
    """A video whose drawing is timed."""

    def __init__(self, source: DrawnFrames, stopwatch: Stopwatch) -> None:
        super().__init__(source)
        self._stopwatch = stopwatch

    def read_frame(self, index: int) -> Image:
        with self._stopwatch("draw"):
            return self.source.read_frame(index)


def measure_tracking(
    name: str = "tiny", *, tracks: Sequence[int] = (1, 4, 16), frames: int = 40, device: str = "cpu"
) -> Iterator[Table]:
    """Measure what a frame costs with so many tracks, and what memory holds.

    Args:
        name: What `--sam3` takes.
        tracks: Numbers of objects.
        frames: Frames of each video.
        device: Of the network.

    Yields:
        One table.
    """
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    backend = load_backend(name, device=device, dtype="auto", compile=None)
    counts = sorted({*tracks, OVERHEAD_TRACKS})
    yield Table(
        "tracking",
        f"{frames} frames of {WIDTH} x {HEIGHT}, by the number of tracks",
        (
            "tracks",
            "frames a second",
            "encode, ms",
            "follow, ms",
            "follow, ms a track",
            "all else, ms",
            "tracks seen",
            "memory, MiB",
            "process, MiB",
        ),
        [measure_count(backend, count, frames) for count in counts],
        {
            "SAM 3": name,
            "device": getattr(backend, "runs_on", ""),
            "threads": 1,
            "goal for all else": f"{OVERHEAD_GOAL} ms with {OVERHEAD_TRACKS} tracks",
        },
    )


def measure_count(backend: Any, count: int, frames: int) -> tuple[float | int, ...]:
    """Return the row of one number of tracks."""
    stopwatch, source = Stopwatch(), DrawnFrames(frames, count)
    timed: Any = TimedBackend(backend, stopwatch)
    session = TrackingSession(TimedVideo(source, stopwatch), timed, timed.encode_apart, rules=TrackingRules())
    for number in range(count):
        x0, y0, x1, y1 = source.locate_object(number, 0)
        session.add_prompt(0, VisualPrompt(box=(x0, y0, x1, y1)))
    took: list[dict[str, float]] = []
    stream, seen = session.propagate(), 0
    for _ in range(frames):
        stopwatch.spent.clear()
        with stopwatch("all"):
            tracked = next(stream)
        took.append(dict(stopwatch.spent))
        seen = len(tracked.ids[0])
    late = took[frames // 2 // FRAMES_AHEAD * FRAMES_AHEAD :]
    parts = {part: statistics.fmean(frame.get(part, 0.0) for frame in late) for part in ("encode", "follow", "draw")}
    follow = statistics.median(frame["follow"] for frame in late)
    # several frames are encoded at a time, so that one frame is no measure of the rest
    rest = statistics.fmean(frame["all"] for frame in late) - sum(parts.values())
    per_second = 1000 / (parts["encode"] + follow + rest)
    memory_mib = timed.memory.nbytes / 2**20
    return count, per_second, parts["encode"], follow, follow / count, rest, seen, memory_mib, read_resident_mib()
