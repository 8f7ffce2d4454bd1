"""Agreement of people, beside numbers that others have published or computed."""

import math

import numpy as np
import pytest

from engine.quality.measures.agreement import compute_instance_f1, compute_kappa, compute_mean_kappa
from sam3_tool.masks.rle import encode_mask


def spread(table: list[list[int]]) -> tuple[list[int], list[int]]:
    """Two lists of choices of which this is the table of counts."""
    cells = [
        (row, column) for row, counts in enumerate(table) for column, count in enumerate(counts) for _ in range(count)
    ]
    return [row for row, _ in cells], [column for _, column in cells]


@pytest.mark.parametrize(
    ("table", "kappa"),
    [
        ([[20, 5], [10, 15]], 0.4),  # the example of the English Wikipedia's article on kappa
        ([[45, 15], [25, 15]], 0.1304),  # and its two with the same observed agreement
        ([[25, 35], [5, 35]], 0.2593),
        ([[88, 14, 18], [10, 40, 10], [2, 6, 12]], 0.4915),  # Cohen 1960, table 1 in counts of 200
        ([[10, 0], [0, 10]], 1.0),
        ([[0, 5], [5, 0]], -1.0),
    ],
)
def test_kappa_is_as_published(table, kappa):
    assert compute_kappa(*spread(table)).kappa == pytest.approx(kappa, abs=5e-5)


def test_kappa_has_no_value_where_chance_explains_all():
    assert math.isnan(compute_kappa(["a"] * 4, ["a"] * 4).kappa)
    assert math.isnan(compute_kappa([], []).observed)


def test_choices_of_different_items_are_refused():
    with pytest.raises(ValueError, match="got 2 and 1"):
        compute_kappa(["a", "b"], ["a"])


def test_a_team_agrees_the_same_whoever_is_called_the_first():
    pairs = [("anna", "a", "ben", "r"), ("ben", "a", "cleo", "a"), ("cleo", "r", "anna", "r")]
    turned = [(b, y, a, x) for a, x, b, y in pairs]
    assert compute_mean_kappa(pairs) == compute_mean_kappa(turned)


def draw(*boxes: tuple[int, int, int, int]):
    masks = np.zeros((len(boxes), 40, 60), bool)
    for mask, (x0, y0, x1, y1) in zip(masks, boxes, strict=True):
        mask[y0:y1, x0:x1] = True
    return [encode_mask(mask) for mask in masks]


def test_instances_agree_as_far_as_their_masks_overlap():
    first, second = draw((0, 0, 10, 10), (20, 0, 30, 10)), draw((0, 0, 10, 10), (20, 0, 30, 8))
    assert compute_instance_f1(first, first) == 1
    assert compute_instance_f1(first, second) == pytest.approx(0.85)  # an IoU of 0.8 is enough for 7 of 10 thresholds
    assert compute_instance_f1(first, second[:1]) == pytest.approx(2 / 3)
    assert compute_instance_f1(first, second) == compute_instance_f1(second, first)


def test_nothing_and_nothing_agree():
    assert (compute_instance_f1([], []), compute_instance_f1([], draw((0, 0, 5, 5)))) == (1, 0)
