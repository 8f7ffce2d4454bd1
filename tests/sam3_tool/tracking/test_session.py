"""Objects that somebody shows, followed through a video: with a script in the network's place, and with the network."""

import numpy as np
import pytest

from sam3_tool import (
    CheckpointError,
    Image,
    Masklet,
    Masklets,
    Sam3,
    ScriptedBackend,
    TrackingSession,
    Video,
    VisualPrompt,
    collect_masklets,
)
from sam3_tool.backends.recording.record import RecordingBackend
from tests.support.clips import HEIGHT, WIDTH, Rectangle, draw_rectangle, make_masklet, slide_rectangle
from tests.support.image_backend import ImageBackend

LENGTH = 10
BALL = slide_rectangle((10, 10, 30, 30), (5, 0), LENGTH)
HIDES: list[Rectangle | None] = [(60, 30, 80, 50) if frame not in (4, 5) else None for frame in range(LENGTH)]


def make_video(length: int = LENGTH) -> Video:
    return Video.from_images([Image(np.full((HEIGHT, WIDTH, 3), value, np.uint8)) for value in range(length)])


def script(*objects: list[Rectangle] | list[Rectangle | None]) -> TrackingSession:
    masklets = tuple(make_masklet(boxes) for boxes in objects)
    every = Masklets(
        masklets, tuple(range(1, len(objects) + 1)), (HEIGHT, WIDTH), LENGTH, "thing", np.ones(LENGTH, np.float32)
    )
    video = make_video()
    return Sam3(ScriptedBackend.from_video(video, {"thing": every})).open_tracking(video)


def assert_is(found: Masklet, expected: Masklet) -> None:
    assert (found.frames, found.rles) == (expected.frames, expected.rles)


def test_an_object_is_followed_both_ways_from_where_it_was_shown():
    session, video = script(BALL, HIDES), make_video()
    number, shown = session.add_prompt(3, VisualPrompt(((35, 20),)))
    assert (number, len(shown), shown.boxes.tolist()) == (1, 1, [[25, 10, 45, 30]])
    frames = [*session.propagate(), *session.propagate(reverse=True)]
    assert [tracked.frame for tracked in frames] == [*range(3, LENGTH), *range(3, -1, -1)]
    [found] = collect_masklets(frames, video, [""])
    assert (found.ids, found.phrase, len(found)) == ((1,), "", 1)
    assert_is(found.masklets[0], make_masklet(BALL))


def test_objects_come_later_go_and_keep_their_ids():
    session = script(BALL, HIDES)
    session.add_prompt(0, VisualPrompt(((20, 20),)))
    seen = []
    for tracked in session.propagate(stop=8):
        seen.append(tracked.ids[0])
        if tracked.frame == 1:
            assert session.add_prompt(1, VisualPrompt(mask=draw_rectangle((60, 30, 80, 50))))[0] == 2
        if tracked.frame == 5:
            session.remove(1)
    assert seen == [(1,), (1,), (1, 2), (1, 2), (1,), (1,), (2,), (2,)]
    assert session.add_prompt(8, VisualPrompt(((60, 20),)))[0] == 3
    assert [tracked.ids for tracked in session.propagate(8)] == [((2, 3),)] * 2


def test_a_pixel_belongs_to_one_object_and_a_given_mask_is_taken_as_it_is():
    session = script(BALL, slide_rectangle((20, 10, 40, 30), (5, 0), LENGTH))
    for mask in (draw_rectangle((10, 10, 30, 30)), draw_rectangle((21, 10, 40, 30))):
        _, shown = session.add_prompt(0, VisualPrompt(mask=mask))
        assert np.array_equal(shown.masks[0], mask)
    for tracked in session.propagate():
        masks = tracked.instances[0].masks
        assert masks.sum(axis=0).max() == 1
        assert masks.any(axis=0).sum() == 30 * 20


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda session: session.add_prompt(LENGTH, VisualPrompt(((1, 1),))), "no frame 10: the video has 10 frames"),
        (lambda session: session.add_prompt(-1, VisualPrompt(((1, 1),))), "no frame -1"),
        (lambda session: session.add_prompt(0, VisualPrompt(((WIDTH + 1, 1),))), "outside the image"),
        (lambda session: session.add_prompt(0, VisualPrompt(mask=np.ones((3, 3), bool))), "must have the image's size"),
        (lambda session: session.add_prompt(0, VisualPrompt(((1, 1),)), id=7), "no object 7; there are: 1"),
        (lambda session: session.remove(2), "no object 2; there are: 1"),
        (lambda session: session.propagate(LENGTH), "no frame 10"),
        (lambda session: session.propagate(1.5), "a frame is a whole number, got 1.5"),
        (lambda session: session.add_prompt("1", VisualPrompt(((2, 2),))), "a frame is a whole number, got '1'"),
        (lambda session: session.propagate(0, stop=LENGTH + 1), "`stop` is 11"),
        (lambda session: session.propagate(4, stop=4), "no frame from 4 to before 4"),
        (lambda session: session.propagate(4, stop=6, reverse=True), "no frame from 4 to before 6 in reverse"),
    ],
)
def test_what_does_not_fit_the_video_is_refused_at_once_and_changes_nothing(act, message):
    session = script(BALL)
    session.add_prompt(0, VisualPrompt(((20, 20),)))
    with pytest.raises((ValueError, IndexError, TypeError), match=message):
        act(session)
    assert session.ids == (1,)
    assert len(list(session.propagate())) == LENGTH


def test_without_an_object_there_is_nothing_to_follow(tmp_path):
    session = script(BALL)
    with pytest.raises(ValueError, match="there is no object to follow"):
        session.propagate()
    for backend in (ImageBackend(), RecordingBackend(ImageBackend(), tmp_path)):
        with pytest.raises(CheckpointError, match="cannot follow objects through a video"):
            Sam3(backend).open_tracking(make_video()).add_prompt(0, VisualPrompt(((2, 2),)))


# With the network


def test_the_network_follows_a_disc_and_a_square_and_takes_a_correction(tiny, picture):
    frames = [np.roll(picture.pixels, (3 * shift, 5 * shift), axis=(0, 1)) for shift in range(6)]
    session = tiny.open_tracking(Video.from_images([Image(frame.copy()) for frame in frames]))
    session.add_prompt(0, VisualPrompt(box=(30, 60, 150, 180)))
    session.add_prompt(2, VisualPrompt(((255, 131),)))
    found = list(session.propagate(0))
    truth = [
        [np.roll(mask, (3 * shift, 5 * shift), axis=(0, 1)) for mask in find_shapes(picture)] for shift in range(6)
    ]
    for tracked, expected in zip(found, truth, strict=True):
        assert tracked.ids == ((1, 2),)
        for mask, shape in zip(tracked.instances[0].masks, expected, strict=True):
            assert (mask & shape).sum() / (mask | shape).sum() > 0.8
    number, shown = session.add_prompt(4, VisualPrompt(((110, 132), (275, 137)), (1, 0)), id=1)
    assert (number, len(shown)) == (1, 1)
    again = list(session.propagate(4))
    assert [tracked.frame for tracked in again] == [4, 5]
    assert np.array_equal(again[0].instances[0].masks[1], found[4].instances[0].masks[1])


def find_shapes(picture: Image) -> list[np.ndarray]:
    red, _, blue = picture.pixels.transpose(2, 0, 1).astype(int)
    return [red - blue > 100, blue - red > 100]
