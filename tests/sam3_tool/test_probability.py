"""Mask probabilities: read, refused and kept with recordings; the embedded file fits the embedded weights."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sam3_tool import ConceptPrompt, Image, Sam3, VisualPrompt
from sam3_tool.backends.transformers.files.checkpoint import locate_checkpoint
from sam3_tool.errors import CheckpointError
from sam3_tool.probability import (
    ESTIMATOR_FILE,
    ProbabilityCurve,
    ProbabilityEstimator,
    read_estimator,
    write_estimator,
)

CURVE = ProbabilityCurve(score=1.0, high_score=0.5, presence=0.0, size=0.0, bias=0.0)
ESTIMATOR = ProbabilityEstimator({"phrase": CURVE}, fitted_on="nothing", weights="5c")


def test_what_is_written_is_read(tmp_path: Path) -> None:
    write_estimator(tmp_path / ESTIMATOR_FILE, ESTIMATOR)
    assert read_estimator(tmp_path) == ESTIMATOR
    (tmp_path / "sam3.pt").touch()
    assert read_estimator(tmp_path / "sam3.pt") == ESTIMATOR, "of one file of weights, it stands beside it"


def spoil(**changes: object) -> bytes:
    return json.dumps(ESTIMATOR.to_dict() | changes).encode()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"\xff",
        b"[" * 5000,
        spoil(format="another"),
        spoil(curves={"phrase": {"score": 1}}),
        spoil(curves={"word": {}}),
        spoil(curves={"phrase": dict.fromkeys(("score", "high_score", "presence", "size", "bias"), "1")}),
        spoil(curves={"phrase": dict.fromkeys(("score", "high_score", "presence", "size", "bias"), float("nan"))}),
        spoil(weights=None),
        b'{"phrase": {"midpoint": 0.35, "slope": 1.0}}',
    ],
)
def test_a_damaged_file_is_one_sentence(tmp_path: Path, content: bytes) -> None:
    (tmp_path / ESTIMATOR_FILE).write_bytes(content)
    with pytest.raises(CheckpointError, match="holds no mask probabilities") as error:
        read_estimator(tmp_path)
    assert "\n" not in str(error.value)


def test_extreme_scores_have_finite_probabilities() -> None:
    extremes = np.array([0.0, 1.0])
    assert np.isfinite(CURVE.estimate(extremes, extremes, extremes)).all()


def test_the_embedded_curves_were_fitted_for_the_embedded_weights(tiny: Sam3) -> None:
    estimator = tiny.probability_estimator
    assert estimator is not None
    assert estimator.weights == tiny.fingerprint, "fit again: python -m evals.studies.calibration --sam3 tiny"
    assert {*estimator.curves} == {"phrase", "exemplar", "click"}


def test_a_calibration_of_other_weights_is_told_and_not_used(tmp_path: Path, tiny: Sam3, picture: Image) -> None:
    folder = shutil.copytree(locate_checkpoint("tiny"), tmp_path / "mine")
    stale = replace(ESTIMATOR, weights=64 * "0")
    write_estimator(folder / ESTIMATOR_FILE, stale)
    sam3 = Sam3.load(str(folder))
    assert sam3.probability_estimator is None
    assert (
        "is not calibrated for these weights: it was fitted for the fingerprint 000000000000" in sam3.calibration_fault
    )
    prompt = ConceptPrompt("red circle")
    assert sam3.estimate_probabilities(sam3.segment_batch([(picture, prompt)])[0], prompt) is None
    assert (tiny.calibration_fault, sam3.fingerprint) == ("", tiny.fingerprint)


def test_a_higher_score_is_more_likely_right(tiny: Sam3) -> None:
    estimator, scores = tiny.probability_estimator, np.linspace(0.05, 0.95, 10)
    assert estimator is not None
    for curve in estimator.curves.values():
        assert (np.diff(curve.estimate(scores, np.ones(10), np.full(10, 0.05))) > 0).all()


def test_recordings_keep_probabilities(tmp_path: Path, picture: Image) -> None:
    recorder, prompt = Sam3.load("tiny", record=tmp_path), ConceptPrompt("red circle")
    found = recorder.segment_batch([(picture, prompt)])[0]
    replayed = Sam3.replay(tmp_path)
    assert replayed.probability_estimator == recorder.probability_estimator
    again = replayed.estimate_probabilities(found, prompt)
    assert again is not None
    before = recorder.estimate_probabilities(found, prompt)
    assert before is not None
    assert again.tolist() == before.tolist() != []


def test_examples_in_other_images_are_not_calibrated(tiny: Sam3, picture: Image) -> None:
    prompt = ConceptPrompt(None, ((30.0, 60.0, 150.0, 180.0),), (1,), exemplar_image=picture)
    found = tiny.segment_batch([(picture, prompt)])[0]
    assert tiny.estimate_probabilities(found, prompt) is None
    assert tiny.estimate_probabilities(found, VisualPrompt(((90.0, 120.0),), (1,))) is not None
