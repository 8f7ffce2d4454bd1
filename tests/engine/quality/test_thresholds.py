"""Thresholds above which nobody looks, and the bounds that they promise."""

import numpy as np
import pytest

from engine.quality.binomial import compute_lower_bound, count_needed
from engine.quality.thresholds import (
    SampledItem,
    choose_accept_threshold,
    choose_reject_threshold,
    find_open_domains,
)


@pytest.mark.parametrize(
    ("right", "number", "expected"),
    [(1, 1, 0.05), (10, 10, 0.741134), (48, 50, 0.879381), (97, 100, 0.924289), (950, 1000, 0.937137)],
)
def test_the_bound_is_that_of_clopper_and_pearson(right: int, number: int, expected: float) -> None:
    """Expected values: the quantile of a beta distribution, beta.ppf(0.05, right, number - right + 1) in SciPy."""
    assert compute_lower_bound(right, number) == pytest.approx(expected, abs=1e-5)


def test_the_bound_is_exact_for_many_items_and_for_none_that_is_right() -> None:
    assert compute_lower_bound(0, 10) == 0.0
    assert 0.98 < compute_lower_bound(98_400, 100_000) < 0.984


@pytest.mark.parametrize(("right", "number", "confidence"), [(-1, 5, 0.95), (6, 5, 0.95), (3, 5, 1.0)])
def test_impossible_counts_are_refused(right: int, number: int, confidence: float) -> None:
    with pytest.raises(ValueError, match=r"expected|must lie"):
        compute_lower_bound(right, number, confidence)


def draw_sample(rng: np.random.Generator, number: int) -> list[SampledItem]:
    """Items that are right with a chance of 0.9 + 0.1 * probability: precision 0.97 needs about 0.4 and more."""
    chances = rng.random(number)
    return [SampledItem(float(p), bool(rng.random() < 0.9 + 0.1 * p)) for p in chances]


def test_the_promise_is_kept_in_nineteen_of_twenty_samples() -> None:
    rng, broken, number = np.random.default_rng(0), 0, 400
    for _ in range(number):
        threshold = choose_accept_threshold(draw_sample(rng, 500)).threshold
        if threshold is not None:  # the mean chance above it, for chances that are spread evenly
            broken += 0.95 + 0.05 * threshold < 0.97
    assert broken <= 0.05 * number


def test_a_sample_that_cannot_pass_gives_no_threshold() -> None:
    needed = count_needed(0.97)
    assert choose_accept_threshold([SampledItem(1.0, True)] * (needed - 1)).threshold is None
    assert choose_accept_threshold([SampledItem(1.0, True)] * needed).threshold == 1.0
    assert choose_accept_threshold([]).threshold is None


def test_errors_that_people_let_pass_make_the_threshold_stricter() -> None:
    sample = draw_calibrated_sample(np.random.default_rng(2), 20_000)
    plain, careful = (choose_accept_threshold(sample, missed=missed).threshold for missed in (0.0, 0.3))
    assert plain is not None
    assert careful is not None
    assert careful > plain


def draw_calibrated_sample(rng: np.random.Generator, number: int) -> list[SampledItem]:
    return [SampledItem(float(p), bool(rng.random() < p)) for p in 1 - 0.2 * rng.random(number)]


def test_a_slip_among_the_surest_leaves_looser_thresholds_open() -> None:
    """One wrong among 100 sure ones is too many for 100, but not for the 300 that the verifier is sure of."""
    sample = [SampledItem(0.999, place != 7) for place in range(100)] + [SampledItem(0.99, True)] * 200
    choice = choose_accept_threshold(sample)
    assert (choice.threshold, choice.taken, choice.right) == (0.99, 300, 299)


def test_rejections_are_bounded_from_the_other_side() -> None:
    sample = [SampledItem(0.05, False)] * 200 + [SampledItem(0.001, False)] * 50 + [SampledItem(0.5, True)] * 100
    choice = choose_reject_threshold(sample, quality=0.95)
    assert (choice.threshold, choice.taken, choice.right) == (pytest.approx(0.05), 250, 250)
    assert choose_reject_threshold([SampledItem(0.05, True)] * 300).threshold is None


def test_domains_with_few_labels_stay_with_people() -> None:
    sample = [SampledItem(0.9, True, "kitchen")] * 250 + [SampledItem(0.9, True, "sea")] * 20
    assert find_open_domains(sample) == {"kitchen"}
