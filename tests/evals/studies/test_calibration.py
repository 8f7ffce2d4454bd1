"""The calibration study: it fits what it should, and says in a sentence why it cannot."""

from pathlib import Path

import numpy as np
import pytest

from evals.errors import ScoringError
from evals.studies.calibration.__main__ import main, measure_estimator
from evals.studies.calibration.diagram import draw_diagram
from evals.studies.calibration.fitting import compute_ece, fit_curve, fit_estimator
from evals.studies.calibration.samples import TEST_SCENES, MaskSamples, collect_samples
from sam3_tool import Sam3


def draw_samples(number: int = 4000, seed: int = 0) -> MaskSamples:
    """Masks that are right half as often, in odds, as their score says."""
    rng = np.random.default_rng(seed)
    scores = rng.uniform(0.05, 0.99, number)
    odds = scores / (1 - scores) / 2
    right = rng.random(number) < odds / (1 + odds)
    return MaskSamples(scores, np.full(number, 0.9), rng.uniform(0.01, 0.2, number), right, np.arange(number) // 5)


def test_a_fit_takes_the_error_of_the_score_away() -> None:
    fitted, other = draw_samples(), draw_samples(seed=1)
    curve = fit_curve(fitted)
    likely = curve.estimate(other.scores, other.presences, other.shares)
    assert compute_ece(other.scores, other.is_right) > 0.08
    assert compute_ece(likely, other.is_right) < 0.03


def test_kinds_with_too_few_masks_are_left_out_and_none_at_all_is_a_sentence() -> None:
    few = draw_samples(10)
    estimator = fit_estimator({"phrase": draw_samples(), "click": few}, fitted_on="drawn", weights="")
    assert {*estimator.curves} == {"phrase"}
    with pytest.raises(ScoringError, match="needs 20 right and 20 wrong masks"):
        fit_estimator({"click": few}, fitted_on="drawn", weights="")


def test_the_embedded_probabilities_hold_on_scenes_that_they_were_not_fitted_on(tiny: Sam3) -> None:
    samples = collect_samples(tiny, TEST_SCENES, 6)
    estimator = tiny.probability_estimator
    assert estimator is not None
    rows = {row.name: row for row in measure_estimator(estimator, samples)}
    assert rows["phrase, all"].masks > 100
    assert rows["phrase, all"].error < 0.12, "few masks, so that chance alone makes some"
    assert rows["phrase, all"].interval.low <= rows["phrase, all"].interval.high
    svg = draw_diagram([*rows.values()])
    assert svg.count("<polyline") == len(rows)


def test_wrong_use_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--sam3", "tiny", "--number", "0"]) != 0
    assert main(["--sam3", str(tmp_path)]) != 0
    assert all(line for line in capsys.readouterr().err.splitlines())
