"""A short clip of an odd size, and objects through it that hide, overlap and are small."""

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest

from agent.exports import EXPORTERS, ExportTrack, VideoExportAnswer
from sam3_tool import Image, Masklet, Video
from sam3_tool.masks.rle import decode_mask

HEIGHT, WIDTH, LENGTH = 47, 63, 8
Write = Callable[..., Path]


@pytest.fixture(scope="session")
def owners() -> None:
    """The libraries whose formats are exported: without one of them these tests fail."""
    if missing := [name for name in ("trackeval", "vos_benchmark") if find_spec(name) is None]:
        pytest.fail(f"no {' and no '.join(missing)} here: uv sync --inexact --extra dev --group owners")


@pytest.fixture(scope="session")
def clip() -> Video:
    pixels = np.random.default_rng(0).integers(0, 256, (LENGTH, HEIGHT, WIDTH, 3), np.uint8)
    return Video.from_images([Image(frame) for frame in pixels], frame_rate=25)


@pytest.fixture(scope="session")
def tracks() -> tuple[ExportTrack, ...]:
    """Ids 2, 7, 9 and 5: one hides and comes back, one overlaps it, one is a single pixel on the last frame."""
    random = np.random.default_rng(1)

    def track(id: int, phrase: str, frames: Sequence[int], box: tuple[int, int, int, int], score: float) -> ExportTrack:
        x0, y0, x1, y1 = box
        masks = np.zeros((LENGTH, HEIGHT, WIDTH), bool)
        for frame in frames:
            masks[frame, y0:y1, x0 + frame : x1 + frame] = random.random((y1 - y0, x1 - x0)) < 0.7
        masklet = Masklet.from_masks(masks, scores=random.random(LENGTH), score=score)
        return ExportTrack(id, masklet, phrase, "It is red." if id == 2 else "")

    return (
        track(2, "red ball", [0, 1, 2, 5, 6], (3, 4, 30, 30), 0.5),
        track(7, "car", range(LENGTH), (10, 10, 40, 40), 0.9),
        track(9, "red ball", range(3, LENGTH), (40, 0, 50, 9), 0.7),
        ExportTrack(5, _make_last_pixel(), ""),
    )


def _make_last_pixel() -> Masklet:
    masks = np.zeros((LENGTH, HEIGHT, WIDTH), bool)
    masks[-1, -1, -1] = True
    return Masklet.from_masks(masks, score=1.0)


@pytest.fixture
def write(clip: Video, tracks: tuple[ExportTrack, ...], tmp_path: Path) -> Write:
    """Writes one format; the objects of `tracks` in `clip` unless others are given."""

    def write(
        kind: str, chosen: Sequence[ExportTrack] = tracks, *, video: Video = clip, name: str = "clips/throw.mp4"
    ) -> Path:
        answer = VideoExportAnswer.from_tracks(video, chosen, name)
        return EXPORTERS[kind].write_video_answer(answer, tmp_path)

    return write


@pytest.fixture
def unpack(tmp_path: Path) -> Callable[[Path], Path]:
    def unpack(path: Path) -> Path:
        folder = tmp_path / path.stem
        with ZipFile(path) as zipped:
            zipped.extractall(folder)
        return folder

    return unpack


def decode_track(track: ExportTrack, size: tuple[int, int] = (HEIGHT, WIDTH), length: int = LENGTH) -> np.ndarray:
    """bool, (T, H, W)."""
    masks = (track.masklet.at(frame) for frame in range(length))
    return np.array([np.zeros(size, bool) if mask is None else decode_mask(mask) for mask in masks])


def remove_overlaps(tracks: Sequence[ExportTrack]) -> dict[int, np.ndarray]:
    """Masks of each id where no object with a higher score is."""
    taken = np.zeros((LENGTH, HEIGHT, WIDTH), bool)
    own = {}
    for track in sorted(tracks, key=lambda one: -one.masklet.score):
        own[track.id] = decode_track(track) & ~taken
        taken |= own[track.id]
    return own
