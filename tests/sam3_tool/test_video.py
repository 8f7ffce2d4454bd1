"""Videos: frames in any order are those of one read from the start."""

from pathlib import Path

import av
import numpy as np
import pytest

from sam3_tool import Video


def write_video(path: Path, frames: list[np.ndarray], codec: str = "libx264", **options: str) -> None:
    with av.open(str(path), "w") as file:
        stream = file.add_stream(codec, rate=24, options=options)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for frame in frames:
            file.mux(stream.encode(av.VideoFrame.from_ndarray(frame, "rgb24")))
        file.mux(stream.encode())


def draw_frames(count: int, height: int = 64, width: int = 96) -> list[np.ndarray]:
    frames = [np.full((height, width, 3), 8 * index, np.uint8) for index in range(count)]
    for index, frame in enumerate(frames):
        frame[10:30, index : index + 20] = (255, 0, 0)
    return frames


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clips") / "clip.mp4"
    write_video(path, draw_frames(24), g="8", bf="3")
    return path


def test_a_frame_read_by_number_is_that_of_a_read_from_the_start(clip: Path):
    with av.open(str(clip)) as file:
        expected = [frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)]
    video = Video.open(clip)
    assert len(video) == len(expected) == 24
    for index in (23, 3, 17, 16, 15, 0, 8, 7):
        np.testing.assert_array_equal(video.read_frame(index).pixels, expected[index])
    for index, frame in Video.open(clip).iterate_frames(step=-1):
        np.testing.assert_array_equal(frame.pixels, expected[index])
