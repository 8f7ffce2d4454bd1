"""Frames written as H.264: read back with PyAV, every frame at its own time."""

from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest

from sam3_tool.video.writing import CLOCK, write_mp4


def make_frames(length: int, height: int = 47, width: int = 63) -> list[np.ndarray]:
    """Grey, brighter with every frame, and red on the left."""
    frames = [np.full((height, width, 3), 40 + 12 * (index % 16), np.uint8) for index in range(length)]
    for frame in frames:
        frame[:, : width // 3] = (200, 30, 60)
    return frames


@pytest.mark.parametrize(
    "times",
    [[0.0], [0.0, 0.04, 0.1, 0.11, 2.5], [5.0, 5.5], np.arange(12) / 23.976, np.arange(4) * 1e-6],
    ids=["one frame", "any rate", "not from 0", "a film's rate", "nearer than can be told"],
)
def test_every_frame_has_its_time_and_its_colors(tmp_path: Path, times: list[float]) -> None:
    frames = make_frames(len(times))
    write_mp4(tmp_path / "x.mp4", frames, times)
    with av.open(str(tmp_path / "x.mp4")) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.pix_fmt, stream.width, stream.height) == ("h264", "yuv420p", 64, 48)
        read = [*container.decode(stream)]
        assert container.duration is not None
        length = container.duration / av.time_base
    stamps = [frame.pts * stream.time_base for frame in read if frame.pts is not None and stream.time_base]
    assert all(later > earlier for earlier, later in pairwise(stamps))
    assert np.array(stamps, float) == pytest.approx(np.asarray(times) - times[0], abs=len(times) / CLOCK)
    assert length > stamps[-1] + Fraction(1, 2 * CLOCK)
    for frame, original in zip(read, frames, strict=True):
        pixels = frame.to_ndarray(format="rgb24")[:47, :63]
        for part in (np.s_[5:-5, 5:16], np.s_[5:-5, 30:-5]):
            assert np.abs(pixels[part].mean((0, 1)) - original[part].mean((0, 1))).max() < 5


def test_the_index_is_in_front_so_that_a_browser_can_begin(tmp_path: Path) -> None:
    write_mp4(tmp_path / "x.mp4", make_frames(3), [0, 0.1, 0.2])
    content = (tmp_path / "x.mp4").read_bytes()
    assert 0 < content.index(b"moov") < content.index(b"mdat")


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 40), (33, 2)])
def test_small_frames_are_written(tmp_path: Path, height: int, width: int) -> None:
    write_mp4(tmp_path / "x.mp4", make_frames(2, height, width), [0, 0.1])
    with av.open(str(tmp_path / "x.mp4")) as container:
        sizes = {(frame.height, frame.width) for frame in container.decode(video=0)}
    assert sizes == {(height + height % 2, width + width % 2)}


def test_frames_are_taken_one_at_a_time(tmp_path: Path) -> None:
    alive = 0

    class Frame(np.ndarray):
        def __del__(self) -> None:
            nonlocal alive
            alive -= 1

    def yield_frames():
        nonlocal alive
        for frame in make_frames(60):
            alive += 1
            assert alive <= 3
            yield frame.view(Frame)

    write_mp4(tmp_path / "x.mp4", yield_frames(), np.arange(60) / 24)


def test_what_cannot_be_written_is_an_error_of_the_system(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_mp4(tmp_path / "nowhere" / "x.mp4", make_frames(1), [0])
    if (full := Path("/dev/full")).exists():
        with pytest.raises(OSError, match="space"):
            write_mp4(full, make_frames(60), np.arange(60))


def test_frames_and_times_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="one frame or more"):
        write_mp4(tmp_path / "x.mp4", [], [])
    for count in (1, 3):
        with pytest.raises(ValueError, match=r"zip\(\)"):
            write_mp4(tmp_path / "x.mp4", make_frames(count), [0, 1])
