"""The fit of a calibration: on numbers whose answer is known, on a trained network, and on one that knows nothing."""

import numpy as np
import pytest

from evals.errors import ScoringError
from evals.studies.open_calibration import (
    LabelledScores,
    collect_scores,
    fit_calibration,
    fit_logistic,
    main,
    measure_calibration_error,
    write_calibration,
)
from sam3_tool.backends.open_models.calibration import Calibration, read_calibrations
from sam3_tool.backends.open_models.loading import load_open_backend
from tests.support.open_models import write_grounding_dino, write_sam2


def test_the_fit_finds_the_numbers_that_made_the_labels():
    rng = np.random.default_rng(4)
    true = Calibration(midpoint=0.3, slope=1.7)
    raw = rng.uniform(0.01, 0.9, 20_000).astype(np.float32)
    scores = LabelledScores(raw, rng.random(len(raw)) < true.to_scores(raw))
    slope, midpoint = fit_logistic(scores, "masks")
    assert slope == pytest.approx(1.7, abs=0.1)
    assert midpoint == pytest.approx(0.3, abs=0.02)
    assert measure_calibration_error(scores, true.to_scores(raw)) < 0.02 < measure_calibration_error(scores, raw)


def test_scores_of_a_trained_network_become_better_probabilities(tiny, tmp_path):
    scored = collect_scores(tiny, None, number=6)
    assert scored.phrases.is_right.mean() > 0.2
    fitted = fit_calibration(scored, fitted_on="six scenes")
    after = measure_calibration_error(scored.masks, fitted.to_scores(scored.masks.raw))
    assert after < measure_calibration_error(scored.masks, scored.masks.raw)
    assert fitted.to_presence(0.95) > 0.5 > fitted.to_presence(0.02)
    write_calibration(tmp_path / "calibration.json", fitted)
    assert read_calibrations("grounding-dino", tmp_path) == {"phrase": fitted}


@pytest.mark.parametrize(
    ("labels", "said"),
    [([False] * 4, "0 of 4 are right"), ([True] * 4, "4 of 4"), ([True, True, False, False], "do not tell")],
)
def test_what_cannot_be_fitted_is_said(labels, said):
    with pytest.raises(ScoringError, match=said):
        fit_logistic(LabelledScores(np.array([0.1, 0.2, 0.7, 0.8], np.float32), np.array(labels)), "masks")


@pytest.fixture
def folders(tmp_path):
    """Of a detector and a segmenter with random weights."""
    return write_grounding_dino(tmp_path / "dino"), write_sam2(tmp_path / "sam2")


def test_random_weights_are_not_calibrated(folders, capsys):
    dino, sam2 = folders
    assert main(["--sam3", f"open:{dino},{sam2}", "--number", "1"]) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith("not calibrated: ")
    assert "take more scenes" in said or "the shipped numbers stay" in said
    assert not (dino / "calibration.json").exists()


def test_weights_that_are_not_there_are_one_sentence(capsys):
    assert main(["--sam3", "open:/nowhere/dino"]) == 2
    assert "not calibrated" not in capsys.readouterr().err


def test_the_calibration_is_saved_where_loading_finds_it(folders):
    dino, sam2 = folders
    name = f"{dino},{sam2}"
    backend = load_open_backend(name, device="cpu")
    fitted = Calibration(0.2, 3.0, 0.4, 2.0, "a test")
    write_calibration(backend.calibration_file, fitted)
    assert load_open_backend(name, device="cpu").calibrations["phrase"] == fitted != backend.calibrations["phrase"]
