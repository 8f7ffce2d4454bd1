"""What objects do in the course of a video, on rectangles whose ways are known to the pixel."""

import numpy as np
import pytest

from agent.core.timeline import Timeline
from agent.tools.geometry.encounters import find_encounters, find_places, measure_tracks
from agent.tools.geometry.motions import find_motion, measure_track
from agent.tools.geometry.time_words import ENCOUNTERS, MOTIONS
from agent.tools.geometry.tracks import is_same_track, to_tracks
from tests.support.clips import make_masklet, slide_rectangle

COUNT = 16
TIMES = tuple(frame / 8 for frame in range(COUNT))
CLIP = Timeline(TIMES)
"""Two seconds, 100 x 60 pixels."""


def motions_of(boxes, timeline: Timeline = CLIP) -> set[str]:
    [track] = to_tracks([make_masklet(boxes)], timeline)
    return {motion for motion in MOTIONS if find_motion(motion, track)}


def when(motion: str, boxes, timeline: Timeline = CLIP):
    [track] = to_tracks([make_masklet(boxes)], timeline)
    return find_motion(motion, track)


def without(boxes, *frames: int):
    return [None if frame in frames else box for frame, box in enumerate(boxes)]


STAYING = [(40, 20, 50, 30)] * COUNT
RIGHTWARDS = slide_rectangle((10, 20, 20, 30), (2, 0), COUNT)
LEFTWARDS = slide_rectangle((80, 20, 90, 30), (-2, 0), COUNT)
THERE_AND_BACK = [*slide_rectangle((10, 20, 20, 30), (4, 0), 8), *slide_rectangle((38, 20, 48, 30), (-4, 0), 8)]
COMING_IN = [None] * 6 + slide_rectangle((-6, 20, 4, 30), (4, 0), 10)
GOING_OUT = COMING_IN[::-1]


@pytest.mark.parametrize(
    ("boxes", "expected"),
    [
        (STAYING, {"still"}),
        (RIGHTWARDS, {"moves", "moves_right"}),
        (LEFTWARDS, {"moves", "moves_left"}),
        (slide_rectangle((40, 2, 50, 12), (0, 2), COUNT), {"moves", "moves_down"}),
        (slide_rectangle((10, 45, 20, 55), (2, -2), COUNT), {"moves", "moves_right", "moves_up"}),
        (slide_rectangle((2, 20, 12, 30), (5, 0), COUNT), {"moves", "moves_right", "crosses"}),
        (THERE_AND_BACK, {"moves", "turns"}),
        (COMING_IN, {"moves", "moves_right", "appears", "enters"}),
        (GOING_OUT, {"moves", "moves_left", "disappears", "leaves"}),
        ([None] * 6 + STAYING[6:], {"still", "appears"}),
        ([*STAYING[:6], *[None] * 5, *STAYING[:5]], {"still", "comes_back"}),
        ([(40 - k, 20 - k, 60 + k, 40 + k) for k in range(COUNT)], {"still", "grows"}),
        ([(40 - k, 20 - k, 60 + k, 40 + k) for k in range(COUNT)][::-1], {"still", "shrinks"}),
    ],
)
def test_an_object_does_what_its_way_says(boxes, expected):
    assert motions_of(boxes) == expected


def test_a_way_counts_from_five_hundredths_of_the_frame():
    # the mean of the last four frames minus that of the first four: 12 of the 15 steps
    short = [(10 + round(k * 4 / 15), 20, 20 + round(k * 4 / 15), 30) for k in range(COUNT)]
    long = [(10 + round(k * 9 / 15), 20, 20 + round(k * 9 / 15), 30) for k in range(COUNT)]
    assert "moves_right" not in motions_of(short)
    assert "moves_right" in motions_of(long)


def test_a_slow_drift_to_the_side_is_no_motion_to_that_side():
    slanted = [(10 + 3 * k, 20 + k, 20 + 3 * k, 30 + k) for k in range(COUNT)]
    assert motions_of(slanted) == {"moves", "moves_right"}


@pytest.mark.parametrize("boxes", [STAYING, RIGHTWARDS, THERE_AND_BACK, COMING_IN])
def test_a_mask_that_is_missing_on_one_frame_changes_nothing(boxes):
    assert motions_of(without(boxes, 9)) == motions_of(boxes)


@pytest.mark.parametrize("boxes", [STAYING, RIGHTWARDS, LEFTWARDS])
def test_a_mask_that_is_somewhere_else_on_one_frame_changes_nothing(boxes):
    flickering = [(85, 50, 95, 58) if frame == 7 else box for frame, box in enumerate(boxes)]
    assert motions_of(flickering) == motions_of(boxes)


def test_a_single_false_frame_before_an_object_comes_is_not_its_beginning():
    false_start = [(80, 40, 90, 50), None, *COMING_IN[2:]]
    assert when("enters", false_start) == ((6, 7),)


def test_events_hold_at_their_frame():
    assert when("appears", COMING_IN) == ((6, 7),)
    assert when("leaves", GOING_OUT) == ((9, 10),)
    assert when("comes_back", [*STAYING[:6], *[None] * 5, *STAYING[:5]]) == ((11, 12),)
    [(turn, _)] = when("turns", THERE_AND_BACK)
    assert turn in (7, 8)


def test_motions_are_those_of_the_part_that_is_asked_about():
    first_half, second_half = CLIP.cut_part(None, 0.9), CLIP.cut_part(1.0, None)
    assert "moves_right" in motions_of(THERE_AND_BACK, first_half)
    assert "moves_left" in motions_of(THERE_AND_BACK, second_half)
    assert motions_of(COMING_IN, second_half) == {"moves", "moves_right"}


def test_the_same_way_is_the_same_motion_at_any_frame_rate():
    """Thresholds are in seconds and shares of the frame: every other frame tells the same."""
    for boxes in (RIGHTWARDS, THERE_AND_BACK, STAYING, COMING_IN):
        assert motions_of(boxes[::2], Timeline(TIMES[::2])) == motions_of(boxes)


def test_measures_are_those_of_the_way():
    [track] = to_tracks([make_masklet(RIGHTWARDS)], CLIP)
    assert measure_track("speed", track) == pytest.approx(16)  # 2 pixels a frame, 8 frames a second
    assert measure_track("way", track) == pytest.approx(24)
    assert measure_track("duration", track) == pytest.approx(2)
    assert measure_track("growth", track) == 1
    [late] = to_tracks([make_masklet(COMING_IN)], CLIP)
    assert (measure_track("first_seen", late), measure_track("last_seen", late)) == (0.75, 1.875)
    assert measure_track("duration", late) == pytest.approx(1.25)


# two objects


def encounter(relation: str, a, b, *, timeline: Timeline = CLIP, **options):
    [spans] = find_encounters(relation, [make_masklet(a)], [make_masklet(b)], [], timeline, **options)
    return spans


def encounters_of(a, b) -> set[str]:
    return {relation for relation in ENCOUNTERS if encounter(relation, a, b)}


POST = [(30, 10, 34, 50)] * COUNT
OVER = [(4 + 3 * k, y, 12 + 3 * k, y + 8) for k, y in enumerate([40, 40, 40, 40, 24, *[0] * 7, 24, 40, 40, 40])]
"""It jumps over the post, which it is level with on frame 8."""


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        (STAYING, POST, {"seen_with"}),
        (slide_rectangle((2, 20, 12, 30), (1, 0), COUNT), POST, {"moving_toward", "seen_with"}),
        (slide_rectangle((40, 20, 50, 30), (2, 0), COUNT), POST, {"moving_away_from", "seen_with"}),
        (slide_rectangle((2, 20, 12, 30), (4, 0), COUNT), POST, {"passing", "crossing", "seen_with"}),
        (slide_rectangle((2, 52, 12, 60), (4, 0), COUNT), POST, {"passing", "seen_with"}),
        (OVER, POST, {"passing", "passing_over", "seen_with"}),
        (POST, slide_rectangle((2, 20, 12, 30), (4, 0), COUNT), {"seen_with"}),
        (STAYING[:6] + [None] * 10, [None] * 9 + STAYING[9:], {"appearing_before", "disappearing_before"}),
        ([None] * 9 + STAYING[9:], STAYING[:6] + [None] * 10, {"appearing_after", "disappearing_after"}),
    ],
)
def test_objects_meet_as_their_ways_say(a, b, expected):
    assert encounters_of(a, b) >= expected
    assert encounters_of(a, b) - expected <= {"moving_away_from"}  # whoever has passed has gone farther, too


def test_who_is_overtaken_does_not_pass():
    fast, slow = slide_rectangle((2, 20, 10, 28), (5, 0), COUNT), slide_rectangle((20, 40, 28, 48), (2, 0), COUNT)
    assert encounter("passing", fast, slow)
    assert not encounter("passing", slow, fast)


def test_who_runs_after_another_moves_toward_it_though_the_gap_stays():
    chaser, chased = slide_rectangle((2, 20, 10, 28), (3, 0), COUNT), slide_rectangle((30, 20, 38, 28), (3, 0), COUNT)
    assert encounter("moving_toward", chaser, chased)
    assert encounter("moving_away_from", chased, chaser)
    assert not encounter("moving_toward", chased, chaser)


@pytest.mark.parametrize(("when", "holds"), [("mostly", False), ("ever", True), ("always", False)])
def test_relations_of_images_hold_as_often_as_is_asked_for(when, holds):
    ball = slide_rectangle((2, 20, 12, 30), (4, 0), COUNT)
    spans = encounter("touching", ball, POST, when=when)
    assert bool(spans) is holds
    assert spans == (((5, 9),) if holds else ())  # within two pixels of columns 30 to 33


def test_the_majority_of_the_frames_decides_where_something_lies():
    mover = slide_rectangle((10, 20, 20, 30), (5, 0), COUNT)  # beyond the post after 4 of 16 frames
    assert encounter("right_of", mover, POST)
    assert not encounter("left_of", mover, POST)
    assert encounter("left_of", mover, POST, timeline=CLIP.cut_part(None, 0.4))


def test_contact_of_less_than_a_tenth_of_a_second_is_taken_for_flicker():
    flash = [(22, 20, 29, 30) if frame == 7 else (5, 20, 12, 30) for frame in range(COUNT)]
    assert encounter("touching", flash, POST, when="ever") == ((7, 8),)
    quick = Timeline(tuple(frame / 24 for frame in range(COUNT)))
    assert not encounter("touching", flash, POST, when="ever", timeline=quick)


def test_a_relation_that_is_missed_on_one_frame_holds_there_too():
    missed = [(60, 20, 67, 30) if frame == 7 else (22, 20, 29, 30) for frame in range(COUNT)]
    assert encounter("touching", missed, POST, when="always") == ((0, COUNT),)


def test_an_object_found_twice_meets_itself_nowhere():
    one, again = make_masklet(RIGHTWARDS), make_masklet([(x0, y0, x1, y1 + 1) for x0, y0, x1, y1 in RIGHTWARDS])
    assert is_same_track(one, again)
    assert not is_same_track(one, make_masklet(LEFTWARDS))
    for relation in ("overlapping", "touching", "seen_with", "moving_toward"):
        assert find_encounters(relation, [one], [one, again], [], CLIP, when="ever") == [()]


def test_places_are_judged_frame_by_frame():
    mover = make_masklet(slide_rectangle((12, 5, 22, 15), (5, 0), COUNT))
    assert find_places("top", [mover], CLIP, when="always") == [((0, 16),)]
    assert find_places("left", [mover], CLIP) == [()]
    assert find_places("right", [mover], CLIP) == [((7, 16),)]
    assert find_places("left", [mover], CLIP, when="ever") == [((0, 7),)]


def test_what_images_have_is_compared_at_the_same_time():
    """The first is left of the second whenever both are seen, though its whole way reaches farther right."""
    first, second = (
        make_masklet(slide_rectangle((0, 5, 10, 15), (6, 0), COUNT)),
        make_masklet([*[(20, 30, 30, 40)] * 3, *[None] * 13]),
    )
    x = measure_tracks("x", [first, second], np.ones(2), [], CLIP)
    assert x.tolist() == [10.5, 24.5]
    assert measure_tracks("x", [first], np.ones(1), [], CLIP).tolist() == [49.5]


def test_distances_are_medians_over_the_common_frames():
    staying = make_masklet([(40, 10, 44, 50)] * 6 + [None] * 10)
    gaps = measure_tracks("distance", [make_masklet([(20, 20, 30, 30)] * COUNT)], np.ones(1), [staying], CLIP)
    assert gaps.tolist() == [11]
    assert np.isinf(measure_tracks("distance", [staying], np.ones(1), [staying], CLIP)).all()


def test_words_that_there_are_not_are_refused():
    [track] = to_tracks([make_masklet(STAYING)], CLIP)
    with pytest.raises(ValueError, match="must be one of moves"):
        find_motion("flies", track)
    with pytest.raises(ValueError, match="must be one of speed"):
        measure_track("colour", track)
    with pytest.raises(ValueError, match="must be one of left_of"):
        find_encounters("hugging", [], [], [], CLIP)
    with pytest.raises(ValueError, match="must be one of size"):
        measure_tracks("colour", [], np.ones(0), [], CLIP)
