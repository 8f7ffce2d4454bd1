"""Metrics on cases whose official value is known by hand."""

import numpy as np
import pytest

from evals.metrics import reasonseg
from evals.metrics.cgf1 import score_pairs
from sam3_tool import rle


def square(x: int, y: int, side: int = 10) -> rle.Rle:
    mask = np.zeros((40, 40), bool)
    mask[y : y + side, x : x + side] = True
    return rle.encode(mask)


def test_two_empty_masks_score_one_and_a_missed_target_zero():
    empty, full = np.zeros((4, 4), bool), np.ones((4, 4), np.uint8)
    assert reasonseg.score([(empty, full * 0)])["giou"] == pytest.approx(1 / (1 + 1e-5))
    assert reasonseg.score([(empty, full)])["giou"] == 0


def test_ignored_pixels_count_neither_way():
    target = np.array([[1, 0, 255, 255]], np.uint8)
    prediction = np.array([[True, False, True, False]])
    assert reasonseg.score([(prediction, target)])["ciou"] == pytest.approx(1)


def test_giou_is_a_mean_and_ciou_a_ratio_of_sums():
    target = np.ones((1, 100), np.uint8)
    half = np.arange(100)[None] < 50
    small = np.array([[1, 0]], np.uint8)
    scores = reasonseg.score([(half, target), (small > 0, small)])
    assert scores["giou"] == pytest.approx(0.75, abs=1e-4)
    assert scores["ciou"] == pytest.approx(51 / 101)


def test_masks_of_different_sizes_are_refused():
    with pytest.raises(ValueError, match="expected masks of one size"):
        reasonseg.score([(np.zeros((2, 2), bool), np.zeros((3, 2), np.uint8))])


def test_perfect_answers_reach_the_official_ceiling():
    scores = score_pairs([([square(0, 0), square(20, 20)], [square(20, 20), square(0, 0)]), ([], [])])
    assert scores["cgF1"] == pytest.approx(99.99, abs=0.01)
    assert scores["IL_MCC"] == pytest.approx(1, abs=1e-5)


def test_false_alarms_lower_the_image_level_score_only():
    scores = score_pairs([([square(0, 0)], [square(0, 0)]), ([square(5, 5)], []), ([], [])])
    assert scores["pmF1"] == pytest.approx(99.99, abs=0.01)
    assert scores["IL_MCC"] == pytest.approx(0.5, abs=1e-3)


def test_a_mask_counts_at_the_thresholds_it_reaches():
    shifted = square(2, 0)  # 80 of 120 pixels: IoU 2/3 reaches .5, .55, .6, .65
    scores = score_pairs([([shifted], [square(0, 0)]), ([], [])])
    assert scores["positive_micro_F1_50"] == pytest.approx(100, abs=0.02)
    assert scores["positive_micro_F1_75"] == 0
    assert scores["pmF1"] == pytest.approx(40, abs=0.02)


@pytest.mark.parametrize("step", range(10, 20))
def test_an_iou_of_exactly_a_threshold_reaches_it(step):
    part, whole = (rle.encode(np.arange(20)[None] < pixels) for pixels in (step, 20))
    scores = score_pairs([([part], [whole]), ([], [])])
    assert scores["pmF1"] == pytest.approx(10 * (step - 9), abs=0.02)
