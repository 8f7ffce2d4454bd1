"""Generalised referring segmentation, in both conventions, on cases worked out by hand."""

import math

import numpy as np
import pytest

from evals.errors import ScoringError
from evals.metrics import gres


def strip(start: int, end: int) -> np.ndarray:
    """A mask of one row of ten pixels."""
    return (np.arange(10)[None] >= start) & (np.arange(10)[None] < end)


NONE, HALF = strip(0, 0), strip(0, 5)
RIGHT, RIGHTLY_NONE = (HALF, HALF, False, False), (HALF, NONE, True, True)


def test_a_query_without_target_scores_one_if_declared_whatever_its_mask():
    scores = gres.score([RIGHT, RIGHTLY_NONE])
    assert (scores["giou"], scores["ciou"], scores["n_acc"], scores["t_acc"]) == (1, 1, 1, 1)
    assert scores["official"]["gIoU"] == 100


def test_a_false_alarm_adds_its_pixels_to_the_union():
    scores = gres.score([RIGHT, (strip(0, 3), NONE, False, True)])
    assert (scores["giou"], scores["ciou"], scores["n_acc"]) == (0.5, 5 / 8, 0)


def test_a_target_declared_missing_keeps_its_mask_in_the_union_for_rela_and_its_iou_for_gsva():
    samples = [RIGHTLY_NONE, RIGHT, (HALF, HALF, True, False)]
    rela, gsva = gres.score(samples), gres.score(samples, convention="gsva")
    assert (rela["giou"], rela["ciou"], rela["t_acc"]) == (2 / 3, 0.5, 0.5)
    assert (gsva["giou"], gsva["ciou"], gsva["t_acc"]) == (pytest.approx(1, abs=1e-5), 1, 0.5)


def test_without_any_query_that_has_no_target_rela_gives_zero_and_gsva_nothing():
    official = gres.score([RIGHT])["official"]
    assert (official["N_acc"], official["T_acc"]) == (0, 0)
    with pytest.raises(ScoringError, match="N-acc has no value"):
        gres.score([RIGHT], "gsva")


def test_precision_counts_samples_that_reach_the_threshold_exactly():
    official = gres.score([(strip(0, 7), strip(0, 10), False, False), RIGHTLY_NONE])["official"]
    assert (official["Pr@0.7"], official["Pr@0.8"]) == (100, 0)


def test_without_flags_an_empty_mask_says_that_there_is_no_target():
    assert gres.score([(HALF, HALF), (NONE, NONE)]) == gres.score([RIGHT, (NONE, NONE, True, True)])


def test_a_sample_may_be_a_record_with_the_official_names():
    record = {"pred_mask": HALF, "gt_mask": HALF, "pred_nt": False, "gt_nt": False}
    assert gres.score([record]) == gres.score([gres.Sample(*RIGHT)])


def test_a_target_without_any_pixel_has_no_ciou():
    assert math.isnan(gres.score([(NONE, NONE, False, False)])["ciou"])


@pytest.mark.parametrize("convention", ["rela", "gsva"])
@pytest.mark.parametrize("samples", [[], [RIGHTLY_NONE]])
def test_a_set_without_targets_has_no_official_score(samples, convention):
    with pytest.raises(ScoringError, match=f"none of {len(samples)} samples has a target"):
        gres.score(samples, convention)


def test_broken_samples_are_named():
    with pytest.raises(ScoringError, match=r"sample 1: .*expected masks of one size"):
        gres.score([RIGHT, (HALF, HALF.T)])
    with pytest.raises(ScoringError, match="sample 0: expected pred_mask"):
        gres.score([{"pred_mask": HALF}])
    with pytest.raises(ScoringError, match="'rela' or 'gsva', found 'other'"):
        gres.score([RIGHT], "other")
