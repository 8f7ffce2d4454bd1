"""The report page of an answer about a video: a film of it, and a bar of time for each object."""

import re
from base64 import b64decode
from io import BytesIO

import av
import pytest

from agent.records.provenance import UNKNOWN_PROVENANCE
from agent.report.html import to_html
from agent.report.video_view import MAX_CLIP_FRAMES, VideoView, list_frame_edges
from agent.tools.toolsets import AnswerWithTracks, SegmentVideo
from sam3_tool import Masklets
from tests.support.clips import COUNT, RATE


def find_bars(page: str) -> list[tuple[str, list[tuple[float, float]]]]:
    """Label and spans, left and width in percent, of each."""
    bars = re.findall(r'<div class="bar"[^>]*aria-label="([^"]*)">(.*?)</div>', page)
    return [
        (
            label,
            [(float(left), float(width)) for left, width in re.findall(r"left: ([\d.]+)%; width: ([\d.]+)%", spans)],
        )
        for label, spans in bars
    ]


def test_a_page_shows_the_film_and_when_each_object_is_seen(play_clip) -> None:
    episode = play_clip(SegmentVideo(phrases=["dog"]), AnswerWithTracks(ids=[2, 3], message="Two dogs."))
    page = to_html(episode, UNKNOWN_PROVENANCE)
    assert find_bars(page) == [
        ("2, dog: 0:00.0 to 0:02.0", [(0, 100)]),
        ("3, dog: 0:01.0 to 0:02.0", [(50, 50)]),
    ]
    found = re.search(r"data:video/mp4;base64,([A-Za-z0-9+/=]+)", page)
    assert found is not None
    with av.open(BytesIO(b64decode(found[1]))) as container:
        times = [float(frame.time) for frame in container.decode(video=0)]
    assert times == pytest.approx([frame / RATE for frame in range(COUNT)], abs=1e-4)
    assert "media-src data:" in page


def test_bars_and_film_are_of_the_part_that_was_asked_about(play_clip) -> None:
    episode = play_clip(SegmentVideo(phrases=["dog"]), AnswerWithTracks(ids=[3], message="One."), since=0.5, until=1.4)
    (label, spans), *others = find_bars(to_html(episode, UNKNOWN_PROVENANCE))
    assert (others, label) == ([], "3, dog: 0:01.0 to 0:01.5")
    assert spans == [(50, 50)]


def test_a_long_video_is_shown_in_steps_and_a_missing_one_has_its_bars(play_clip) -> None:
    episode = play_clip(SegmentVideo(phrases=["post"]), AnswerWithTracks(ids=[1], message="One."))
    found = episode.masklets
    long = 3 * MAX_CLIP_FRAMES
    longer = Masklets(found.masklets, found.ids, found.size, long, "post", [1.0] * long)
    view = VideoView.from_masklets(longer, ["post"], [frame / RATE for frame in range(long + 1)], range(long), None)
    assert (view.clip, view.step) == (None, 3)
    assert view.bars[0].spans == [(0, pytest.approx(100 * COUNT / long, abs=1e-3))]
    assert list_frame_edges([0.0]) == [0.0, 1.0]
