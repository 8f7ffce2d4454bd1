"""What people see first."""

from collections import Counter

import numpy as np

from engine.quality.ordering import Candidate, compute_pair_risk, draw_batch, order_by_risk


def make_candidates(number: int, *, phrases: int = 1000, groups: int = 1000) -> list[Candidate]:
    rng = np.random.default_rng(0)
    return [
        Candidate(f"{place}", float(risk), 6.0, f"phrase {place % phrases}", f"group {place % groups}")
        for place, risk in enumerate(rng.random(number))
    ]


def test_quick_items_come_before_slow_ones_of_the_same_risk() -> None:
    slow, quick = Candidate("slow", 0.5, 152.0, "cup"), Candidate("quick", 0.4, 6.0, "cup")
    assert [one.key for one in order_by_risk([slow, quick])] == ["quick", "slow"]


def test_a_batch_has_few_of_one_phrase_and_of_one_group() -> None:
    draws = draw_batch(make_candidates(400, phrases=20, groups=25), 60, seed=1, random_share=0.0, most_alike=3)
    places = [int(draw.key) for draw in draws]
    assert len({draw.key for draw in draws}) == 60
    assert max(Counter(place % 20 for place in places).values()) <= 3
    assert max(Counter(place % 25 for place in places).values()) <= 3


def test_a_batch_is_full_where_all_are_alike() -> None:
    assert len(draw_batch(make_candidates(30, phrases=1), 20, seed=0)) == 20
    assert len(draw_batch(make_candidates(5), 20, seed=0)) == 5
    assert draw_batch([], 20, seed=0) == []


def test_a_tenth_of_a_batch_is_a_random_sample_of_all() -> None:
    candidates = make_candidates(100)
    mean = np.mean([one.risk for one in candidates])
    drawn = [draw for seed in range(200) for draw in draw_batch(candidates, 20, seed=seed) if draw.drawn == "random"]
    assert len(drawn) == 200 * 2
    assert abs(np.mean([candidates[int(draw.key)].risk for draw in drawn]) - mean) < 0.05


def test_weights_give_back_the_mean_of_all() -> None:
    """Horvitz and Thompson: a sum over draws, each by its weight, is on average the sum over all candidates."""
    candidates = make_candidates(100)
    truth = sum(one.risk for one in candidates)
    sums = [
        sum(draw.weight * candidates[int(draw.key)].risk for draw in draw_batch(candidates, 20, seed=seed))
        for seed in range(400)
    ]
    assert abs(np.mean(sums) - truth) < 0.05 * truth


def test_the_same_seed_draws_the_same_batch() -> None:
    candidates = make_candidates(50)
    assert draw_batch(candidates, 10, seed=3) == draw_batch(candidates, 10, seed=3)


def test_a_pair_is_as_risky_as_its_worst_mask_at_least() -> None:
    assert compute_pair_risk(1.0, [0.9, 0.3]) >= 0.7
    assert compute_pair_risk(0.2, []) == 0.8
