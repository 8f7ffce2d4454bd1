"""The video with the objects drawn on it, read with PyAV."""

from pathlib import Path

import av
import pytest

from agent.exports import VideoExportAnswer
from agent.exports.video.overlay import write_overlay
from sam3_tool import Video


def test_pyav_reads_every_frame_at_its_time(write, clip: Video, tracks) -> None:
    path: Path = write("mp4")
    with av.open(str(path)) as container:
        times = [float(frame.time) for frame in container.decode(video=0)]
    assert times == pytest.approx(clip.times, abs=1e-4)
    again = VideoExportAnswer.from_tracks(clip, tracks, "other.mp4")
    write_overlay(again, path.with_name("again.mp4"))
    assert path.with_name("again.mp4").read_bytes() == path.read_bytes()
