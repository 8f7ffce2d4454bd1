"""Counting: suppression before thresholding, error and accuracy."""

import numpy as np
import pytest

from evals.errors import ScoringError
from evals.metrics import counting


def strips(*ends: tuple[int, int]) -> np.ndarray:
    """bool, (N, 1, 20)."""
    columns = np.arange(20)
    return np.array([[(columns >= start) & (columns < end)] for start, end in ends])


def test_a_part_of_a_better_mask_is_not_counted():
    assert counting.count_instances(strips((0, 10), (0, 4), (12, 16)), [0.9, 0.8, 0.7]) == 2


def test_masks_that_share_exactly_half_of_the_smaller_are_both_counted():
    assert counting.count_instances(strips((0, 10), (8, 12)), [0.9, 0.8]) == 2
    assert counting.count_instances(strips((0, 10), (7, 11)), [0.9, 0.8]) == 1


def test_suppression_comes_before_the_threshold():
    """The best mask hides the others although it is itself too weak to be counted."""
    assert counting.count_instances(strips((0, 10), (0, 4)), [0.5, 0.4]) == 0
    assert counting.count_instances(strips((0, 10), (0, 4)), [0.51, 0.5]) == 1


def test_a_suppressed_mask_suppresses_nothing():
    assert counting.count_instances(strips((0, 8), (4, 9), (8, 9)), [0.9, 0.8, 0.7]) == 2


def test_empty_masks_overlap_nothing():
    assert counting.count_instances(strips((0, 0), (0, 0), (0, 5)), [0.9, 0.8, 0.7]) == 3


def test_error_and_accuracy():
    scores = counting.score([(3, 3), ((strips((0, 4), (6, 9)), [0.9, 0.9]), 4)])
    assert scores == {"mae": 1.0, "accuracy": 50.0, "rmse": pytest.approx(2**0.5), "n": 2}


def test_what_cannot_be_counted_is_named():
    with pytest.raises(ScoringError, match="no samples"):
        counting.score([])
    with pytest.raises(ScoringError, match="sample 1: a count must be a number, found None"):
        counting.score([(1, 1), (None, 2)])
    with pytest.raises(ScoringError, match="2 masks need as many scores, none of them NaN"):
        counting.count_instances(strips((0, 1), (2, 3)), [0.5, float("nan")])
