"""Videos that are recorded, and followed again without a network."""

import json
from pathlib import Path

import numpy as np
import pytest

from sam3_tool import (
    CheckpointError,
    ConceptPrompt,
    FramePrompt,
    Image,
    Masklets,
    Sam3,
    TrackedFrame,
    Video,
    VisualPrompt,
)
from sam3_tool.backends.recording.record import RecordingBackend
from sam3_tool.backends.scripted import ScriptedBackend
from sam3_tool.tracking.streaming import TrackingPrompt
from tests.support.clips import HEIGHT, WIDTH, make_masklet, slide_rectangle

PROMPTS: list[TrackingPrompt] = ["red circle", FramePrompt(1, ConceptPrompt(None, ((205.0, 85.0, 285.0, 165.0),)))]


@pytest.fixture
def video(picture: Image) -> Video:
    frames = [np.roll(picture.pixels, (3 * shift, 5 * shift), axis=(0, 1)) for shift in range(5)]
    return Video.from_images([Image(frame.copy()) for frame in frames])


def are_equal(found: list[TrackedFrame], again: list[TrackedFrame]) -> bool:
    """Bit for bit."""
    return all(
        (one.frame, one.ids, one.object_scores) == (other.frame, other.ids, other.object_scores)
        and all(
            (a.rles, a.presence, a.phrase) == (b.rles, b.presence, b.phrase)
            and a.scores.tobytes() == b.scores.tobytes()
            and a.boxes.tobytes() == b.boxes.tobytes()
            for a, b in zip(one.instances, other.instances, strict=True)
        )
        for one, other in zip(found, again, strict=True)
    )


def correct_object(sam3: Sam3, video: Video) -> list[TrackedFrame]:
    """Follow two objects, correct one of them and remove the other, and go backwards."""
    session = sam3.open_tracking(video)
    first, _ = session.add_prompt(0, VisualPrompt(((90, 60),)))
    second, _ = session.add_prompt(0, VisualPrompt((), (), (205.0, 85.0, 285.0, 165.0)))
    frames = list(session.propagate())
    session.add_prompt(3, VisualPrompt(((95, 65), (30, 30)), (1, 0)), id=first)
    session.remove(second)
    return [*frames, *session.propagate(reverse=True)]


def test_phrases_and_boxes_come_back_bit_for_bit_without_the_network(video: Video, tmp_path: Path) -> None:
    found = list(Sam3.load("tiny", record=tmp_path).track(video, PROMPTS))
    assert sum(len(each) for tracked in found for each in tracked.instances) > 0
    assert are_equal(found, list(Sam3.replay(tmp_path).track(video, PROMPTS)))
    with pytest.raises(CheckpointError, match="was not followed in this way when the recording was made"):
        list(Sam3.replay(tmp_path).track(video, "blue square"))


def test_clicks_and_corrections_come_back_bit_for_bit_without_the_network(video: Video, tmp_path: Path) -> None:
    found = correct_object(Sam3.load("tiny", record=tmp_path), video)
    assert sum(len(tracked.ids[0]) for tracked in found) > 0
    assert are_equal(found, correct_object(Sam3.replay(tmp_path), video))


def test_what_memory_was_told_otherwise_is_not_answered(video: Video, tmp_path: Path) -> None:
    """The same frame after another prompt is another question."""

    def follow_point(sam3: Sam3, x: float) -> list[TrackedFrame]:
        session = sam3.open_tracking(video)
        session.add_prompt(0, VisualPrompt(((x, 60),)))
        session.add_prompt(1, VisualPrompt(((20, 60),)))
        return list(session.propagate())

    recorder = Sam3(RecordingBackend(ScriptedBackend({}), tmp_path))
    follow_point(recorder, 10)
    assert len(follow_point(Sam3.replay(tmp_path), 10)) == 5
    with pytest.raises(CheckpointError, match="a video was not followed in this way"):
        follow_point(Sam3.replay(tmp_path), 11)


@pytest.mark.parametrize("what", ["detect", "propagate", "upsample"])
def test_a_damaged_answer_is_reported(tmp_path: Path, what: str) -> None:
    slides = Video.from_images([Image(np.full((HEIGHT, WIDTH, 3), value, np.uint8)) for value in range(3)])
    ball = make_masklet(slide_rectangle((10, 10, 30, 30), (5, 0), 3))
    script = {"ball": Masklets((ball,), (1,), (HEIGHT, WIDTH), 3, "ball", np.ones(3, np.float32))}
    backend = RecordingBackend(ScriptedBackend.from_video(slides, script), tmp_path)
    assert sum(len(tracked.ids[0]) for tracked in Sam3(backend).track(slides, "ball")) == 3
    for path in (tmp_path / "sam3").iterdir():
        saved = json.loads(path.read_text())
        if saved["asked"]["what"] == what:
            path.write_text(json.dumps(saved | {"answers": [{"masks": "none"}]}))
    with pytest.raises(CheckpointError, match="is damaged in the recording"):
        list(Sam3.replay(tmp_path).track(slides, "ball"))
