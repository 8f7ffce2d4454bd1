"""Generalised referring comprehension on cases worked out by hand."""

import numpy as np
import pytest

from evals.errors import ScoringError
from evals.metrics import grec

BOX, FAR = [0, 0, 10, 10], [50, 50, 60, 60]
RIGHT, RIGHTLY_NONE = ([BOX], [0.9], [BOX]), ([BOX], [0.1], [], True)


def test_a_sample_is_right_only_if_all_boxes_match_and_none_is_left_over():
    missed, surplus = ([BOX], [0.9], [BOX, FAR]), ([BOX, FAR], [0.9, 0.9], [BOX])
    scores = grec.score([RIGHT, missed, surplus, RIGHTLY_NONE])
    assert scores["official"] == {"F1_score": 0.5, "T_acc": 1, "N_acc": 1}


def test_boxes_below_the_score_threshold_are_not_looked_at():
    assert grec.score([([BOX, FAR], [0.71, 0.69], [BOX]), RIGHTLY_NONE])["f1"] == 1


def test_a_float32_score_of_point_seven_is_below_the_threshold():
    assert grec.score([([BOX], np.array([0.7], np.float32), [BOX]), RIGHTLY_NONE])["t_acc"] == 0


def test_the_threshold_is_on_generalised_iou():
    """Half of a wide box and the other way round: IoU 1/2 with nothing left free, IoU 2/3 with a corner left free."""
    half = grec.compute_generalised_ious(np.array([[0, 0, 5, 10]], np.float32), np.array([BOX], np.float32))
    apart = grec.compute_generalised_ious(np.array([BOX], np.float32), np.array([FAR], np.float32))
    assert half[0, 0] == 0.5
    assert apart[0, 0] == pytest.approx(200 / 3600 - 1)


def test_matching_is_greedy_from_the_greatest():
    """The better box takes the target that the other one would have needed."""
    targets, boxes = [[0, 0, 10, 10], [0, 0, 10, 16]], [[0, 0, 10, 10], [0, 0, 10, 7]]
    assert grec.score([(boxes, [0.9, 0.9], targets), RIGHTLY_NONE])["f1"] == 0.5


def test_no_boxes_at_all_are_no_boxes_kept():
    assert grec.score([RIGHT, ([], [], [])]) == grec.score([RIGHT, RIGHTLY_NONE])


@pytest.mark.parametrize(
    ("samples", "complaint"),
    [
        ([], "none of 0 samples is without target"),
        ([RIGHT], "none of 1 samples is without target: N_acc"),
        ([RIGHTLY_NONE], "none of 1 samples is with a target: T_acc"),
        ([RIGHT, ([BOX], [0.9, 0.8], [BOX])], "sample 1: 1 boxes need as many scores"),
        ([([BOX], [float("nan")], [BOX])], "sample 0: 1 boxes need as many scores, none of them NaN"),
        ([([[5, 5, 1, 1]], [0.9], [BOX])], "sample 0: `boxes` must be x0, y0, x1, y1"),
        ([([BOX], [0.9], [], False)], "sample 0 has neither"),
        ([{"boxes": []}], "sample 0: expected boxes"),
    ],
)
def test_what_has_no_official_score_is_named(samples, complaint):
    with pytest.raises(ScoringError, match=complaint):
        grec.score(samples)


def test_scores_are_compared_in_float32_in_which_seven_tenths_are_just_below_the_threshold():
    for score, kept in ((0.7, False), (np.float32(0.7), False), (0.69999999, False), (0.7000001, True), (0.71, True)):
        assert grec.score([([BOX], [score], [BOX]), ([BOX], [score], [])])["t_acc"] == kept
