"""Fits of SAM 3's signals on what people have said."""

import numpy as np
import pytest

from engine.errors import EngineError
from engine.pairs import Correction, Judgement, Proposal
from engine.verifiers.fitted import CALIBRATED_FROM, LEAST_LABELS, FittedVerifier, fit_stage
from engine.verifiers.labels import LabelledItem, collect_coverage_labels, collect_mask_labels
from engine.verifiers.regression import fit_isotonic, fit_logistic
from engine.verifiers.signals import SignalsVerifier
from engine.verifiers.verifier import MaskItem, PairItem, Verifier
from sam3_tool import Image
from sam3_tool.masks.rle import RleMask, encode_mask


def draw_bar(left: int, right: int) -> RleMask:
    mask = np.zeros((4, 20), bool)
    mask[:, left:right] = True
    return encode_mask(mask)


LEFT, RIGHT = draw_bar(0, 5), draw_bar(10, 15)
PROPOSAL = Proposal(pair="c4", masks=(LEFT, RIGHT), scores=(0.9, 0.6), presence=0.9, made_by="tiny")


def make_labels(number: int, *, seed: int = 0, weight: float = 1.0) -> list[LabelledItem]:
    """Labels whose chance to be right is their score."""
    rng = np.random.default_rng(seed)
    scores = rng.random(number)
    return [
        LabelledItem(f"{index}", 0, f"image {index // 3}", {"score": float(score)}, bool(rng.random() < score), weight)
        for index, score in enumerate(scores)
    ]


def judge_mask(mask: int, choice: str, by: str = "human:anna") -> Judgement:
    return Judgement(pair="c4", stage="mv", mask=mask, choice=choice, by=by, at=0.0, drawn="random", weight=10.0)


def load_nothing() -> Image:
    raise AssertionError("the image is not needed")


@pytest.mark.parametrize("number", [0, LEAST_LABELS - 1])
def test_a_fit_refuses_too_few_labels(number: int) -> None:
    with pytest.raises(EngineError, match=f"'mv' has {number} labels .* needs {LEAST_LABELS}"):
        fit_stage("mv", make_labels(number))


def test_a_fit_refuses_labels_that_are_all_alike() -> None:
    labels = [LabelledItem(f"{index}", 0, "a", {"score": 0.9}, True) for index in range(100)]
    with pytest.raises(EngineError, match="100 labels by people, 0 of them rejections"):
        fit_stage("mv", labels)


@pytest.mark.parametrize(("number", "is_calibrated"), [(CALIBRATED_FROM, False), (CALIBRATED_FROM + 1, True)])
def test_calibration_follows_above_five_hundred_labels(number: int, is_calibrated: bool) -> None:
    report = fit_stage("mv", make_labels(number))
    assert (report.fit.calibration is not None) == is_calibrated
    asked = np.linspace(0.05, 0.95, 10)
    estimates = report.fit.estimate([{"score": float(score)} for score in asked])
    assert np.abs(estimates - asked).max() < 0.15
    assert (np.diff(estimates) >= 0).all()


def test_what_the_routing_chose_is_weighted_back_to_what_there_is() -> None:
    """Of all items half are right. Of the wrong ones all were labelled, of the right ones one in ten."""
    rng = np.random.default_rng(0)
    right, wrong = (
        [{"noise": float(rng.random())} for _ in range(100)],
        [{"noise": float(rng.random())} for _ in range(1000)],
    )
    labels = np.array([True] * 100 + [False] * 1000)
    plain = fit_logistic([*right, *wrong], labels, np.ones(1100))
    weighted = fit_logistic([*right, *wrong], labels, np.array([10.0] * 100 + [1.0] * 1000))
    assert plain.estimate([{"noise": 0.5}])[0] == pytest.approx(0.09, abs=0.02)
    assert weighted.estimate([{"noise": 0.5}])[0] == pytest.approx(0.5, abs=0.05)


def test_inputs_that_separate_the_labels_leave_finite_weights() -> None:
    signals = [{"score": 0.1}] * 50 + [{"score": 0.9}] * 50
    curve = fit_logistic(signals, np.array([False] * 50 + [True] * 50), np.ones(100))
    assert np.isfinite(curve.weights).all()
    assert curve.estimate([{"score": 0.9}])[0] > 0.85


def test_signals_that_never_change_are_no_reason_to_fail() -> None:
    curve = fit_logistic([{"score": 0.5}] * 60, np.array([True, False] * 30), np.ones(60))
    assert curve.estimate([{"score": 0.5}, {}])[0] == pytest.approx(0.5)


def test_isotonic_values_never_fall_and_stay_inside_zero_and_one() -> None:
    rng = np.random.default_rng(1)
    estimates = rng.random(600)
    curve = fit_isotonic(estimates, rng.random(600) < estimates, rng.random(600) + 0.5)
    assert (np.diff(curve.values) >= 0).all()
    assert 0 < curve.values[0] <= curve.values[-1] < 1


def test_the_same_labels_give_the_same_fingerprint_and_others_another() -> None:
    first, again, other = (FittedVerifier([fit_stage("mv", make_labels(200, seed=seed)).fit]) for seed in (0, 0, 1))
    assert first.fingerprint == again.fingerprint != other.fingerprint


def test_a_stage_without_a_fit_gets_no_verdict() -> None:
    verifier = FittedVerifier([fit_stage("mv", make_labels(200)).fit])
    assert verifier.verify_coverage([PairItem("5d", load_nothing, "cup", (), {"presence": 0.1})]) == [None]


@pytest.mark.parametrize("kind", ["signals", "fitted"])
def test_verifiers_keep_the_protocol_and_open_no_image(kind: str) -> None:
    verifier: Verifier = (
        SignalsVerifier() if kind == "signals" else FittedVerifier([fit_stage("mv", make_labels(60)).fit])
    )
    assert isinstance(verifier, Verifier)
    items = [MaskItem("5d", load_nothing, "cup", LEFT, {"score": score}) for score in (0.95, 0.51)]
    sure, unsure = verifier.verify_masks(items)
    assert sure is not None
    assert unsure is not None
    assert sure.probability > unsure.probability
    assert verifier.verify_masks([]) == []


def test_masks_are_labelled_by_the_majority_and_a_tie_says_nothing() -> None:
    entries = [
        *(judge_mask(0, "accept"), judge_mask(0, "reject", "human:ben"), judge_mask(0, "accept_text", "human:cleo")),
        *(judge_mask(1, "accept"), judge_mask(1, "reject", "human:ben"), judge_mask(1, "accept", "model:signals@1")),
    ]
    [label] = collect_mask_labels(PROPOSAL, entries, "5d", "kitchen")
    assert (label.mask, label.is_right, label.weight, label.is_random, label.domain) == (0, True, 10.0, True, "kitchen")


def test_what_is_said_of_the_phrase_says_nothing_of_a_mask() -> None:
    assert collect_mask_labels(PROPOSAL, [judge_mask(0, "flag"), judge_mask(1, "whole_image")], "5d") == []


def test_a_correction_labels_each_mask_and_a_group_mask_labels_none() -> None:
    def correct_masks(masks: tuple[RleMask, ...], groups: tuple[bool, ...]) -> Correction:
        return Correction(pair="c4", masks=masks, groups=groups, exhaustive=True, by="human:anna", at=1.0)

    kept = collect_mask_labels(PROPOSAL, [correct_masks((LEFT,), (False,))], "5d")
    assert [(label.mask, label.is_right) for label in kept] == [(0, True), (1, False)]
    grouped = collect_mask_labels(PROPOSAL, [correct_masks((LEFT, draw_bar(9, 16)), (False, True))], "5d")
    assert [(label.mask, label.is_right) for label in grouped] == [(0, True)]


@pytest.mark.parametrize(
    ("masks", "exhaustive", "is_covered"),
    [((LEFT, RIGHT), True, True), ((LEFT, RIGHT, draw_bar(16, 20)), True, False), ((LEFT,), False, False)],
)
def test_what_a_correction_had_to_add_was_not_covered(
    masks: tuple[RleMask, ...], exhaustive: bool, is_covered: bool
) -> None:
    correction = Correction(
        pair="c4", masks=masks, groups=(False,) * len(masks), exhaustive=exhaustive, by="human:anna", at=1.0
    )
    [label] = collect_coverage_labels(PROPOSAL, [correction], "5d")
    assert label.is_right is is_covered


def test_coverage_is_labelled_with_the_masks_that_were_shown() -> None:
    said = Judgement(
        pair="c4", stage="ev", shown=(0,), choice="reject", by="human:anna", at=0.0, drawn="risk", weight=1.0
    )
    [label] = collect_coverage_labels(PROPOSAL, [said], "5d")
    assert (label.is_right, label.signals["masks"], label.signals["rejected"]) == (False, 1.0, 0.6)
    assert not label.is_random
