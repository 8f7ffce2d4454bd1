"""Intervals are drawn over images, and are the same whenever they are drawn."""

import numpy as np
import pytest

from evals.bootstrap import compute_interval


def mean_of(values):
    numbers = np.array(values, float)
    return lambda drawn: float(numbers[list(drawn)].mean())


def test_the_interval_of_a_mean_is_that_of_the_textbook():
    values = np.random.default_rng(1).normal(3.0, 2.0, 400)
    found = compute_interval([str(n) for n in range(400)], mean_of(values), draws=2000)
    error = 1.96 * values.std(ddof=1) / 20
    assert (found.low, found.high) == pytest.approx((values.mean() - error, values.mean() + error), abs=0.03)


def test_samples_of_one_picture_are_drawn_together():
    values = np.repeat(np.random.default_rng(2).normal(size=50), 8)
    alone = compute_interval([str(n) for n in range(400)], mean_of(values))
    clustered = compute_interval([str(n // 8) for n in range(400)], mean_of(values))
    assert (clustered.high - clustered.low) / (alone.high - alone.low) == pytest.approx(8**0.5, rel=0.2)


def test_every_draw_holds_whole_pictures_wherever_their_samples_stand():
    groups = ["a", "b", "a", "c", "b", "a"]
    members = {"a": [0, 2, 5], "b": [1, 4], "c": [3]}
    seen = []
    compute_interval(groups, lambda drawn: seen.append(list(drawn)) or 0.0, draws=100)
    for drawn in seen:
        counts = np.bincount(drawn, minlength=6)
        assert sum(counts[members[group][0]] for group in members) == 3
        assert all(len(set(counts[samples])) == 1 for samples in members.values())


def test_the_same_seed_gives_the_same_interval_and_another_one_does_not():
    groups, measure = [str(n) for n in range(20)], mean_of(range(20))
    assert (
        compute_interval(groups, measure, seed=3)
        == compute_interval(groups, measure, seed=3)
        != compute_interval(groups, measure, seed=4)
    )


def test_draws_without_a_value_are_left_out():
    values = [0.0, 1.0, np.nan, np.nan]
    found = compute_interval(list("abcd"), mean_of(values))
    assert 0.0 <= found.low <= found.high <= 1.0
    assert np.isnan(compute_interval(list("cd"), mean_of([np.nan, np.nan])).low)


def test_no_sample_is_no_interval():
    with pytest.raises(ValueError, match="there is no sample"):
        compute_interval([], mean_of([]))
