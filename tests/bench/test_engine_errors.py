"""Errors of the data engine: which kind each one is, how early it is found, and what is right without people."""

from pathlib import Path

import numpy as np
import pytest

from bench.harness.tables import Table
from bench.suites.engine.errors import classify_error, tabulate_errors
from bench.suites.engine.plots import plot_table
from bench.suites.engine.precision import PrecisionCurve, tabulate_precision
from engine.pairs import Pair, Proposal
from engine.simulation import SimulatedPair
from sam3_tool.masks.rle import RleMask, encode_mask


def draw_bar(left: int, right: int) -> RleMask:
    mask = np.zeros((4, 20), bool)
    mask[:, left:right] = True
    return encode_mask(mask)


LEFT, SHORT, RIGHT = draw_bar(0, 8), draw_bar(0, 5), draw_bar(12, 20)
"""The second lies on the first, with an IoU of 0.625."""


def make_pair(masks: tuple[RleMask, ...], truth: tuple[RleMask, ...], *, presence: float = 0.5) -> SimulatedPair:
    pair = Pair(image="5d", phrase="cup", original="cup", origin="list")
    scores = (0.9,) * len(masks)
    proposal = Proposal(pair=pair.key, masks=masks, scores=scores, presence=presence, made_by="made up")
    return SimulatedPair(0, pair, proposal, truth)


@pytest.mark.parametrize(
    ("masks", "truth", "kind"),
    [
        ((LEFT,), (), "a mask where nothing is"),
        ((), (LEFT,), "nothing proposed"),
        ((LEFT,), (LEFT, RIGHT), "an instance missing"),
        ((SHORT,), (LEFT,), "a bad outline"),
        ((LEFT, RIGHT), (LEFT,), "a mask too many"),
        ((SHORT, RIGHT), (LEFT,), "a mask too many"),
        ((LEFT, SHORT), (LEFT, RIGHT), "missing and a wrong mask"),
        ((RIGHT,), (LEFT,), "missing and a wrong mask"),
    ],
)
def test_each_wrong_pair_has_one_kind(masks: tuple[RleMask, ...], truth: tuple[RleMask, ...], kind: str) -> None:
    pair = make_pair(masks, truth)
    assert not pair.is_right
    assert classify_error(pair) == kind


def test_errors_are_counted_by_kind_and_by_how_early_they_come() -> None:
    right = make_pair((LEFT,), (LEFT,))
    order = [make_pair((), (LEFT,)), *[right] * 8, make_pair((), (LEFT,)), make_pair((SHORT,), (LEFT,))]
    rows = {row[0]: row[1:] for row in tabulate_errors([order], "errors", "any noun").rows}
    assert rows["nothing proposed"] == (2, pytest.approx(200 / 3), 50, 50)
    assert rows["a bad outline"] == (1, pytest.approx(100 / 3), 0, 0)
    assert rows["a mask too many"] == (0, 0, None, None)
    assert rows["all"] == (3, 100, pytest.approx(100 / 3), pytest.approx(100 / 3))


def test_precision_is_that_of_the_surest_pairs_with_and_without_masks() -> None:
    pairs = [
        *(make_pair((), (), presence=0.01 * number) for number in range(6)),
        *(make_pair((LEFT,), truth, presence=presence) for truth, presence in (((LEFT,), 0.3), ((RIGHT,), 0.4))),
        *(make_pair((), (LEFT,), presence=0.8 + 0.1 * number) for number in range(2)),
    ]
    curve = PrecisionCurve.from_estimates(pairs, lambda pair: (1 - pair.proposal.presence, ()))
    assert [curve.measure_precision(share) for share in (0.7, 0.8, 1.0)] == [1.0, 7 / 8, 0.7]
    assert [curve.measure_precision(share, with_masks=True) for share in (0.5, 1.0)] == [1.0, 0.5]
    assert curve.measure_precision(1.0, with_masks=False) == 6 / 8
    [*_, last] = tabulate_precision([curve, curve], "engine-precision-any", "any noun").rows
    assert last == ("100", 70, 70, 50, 50, 75, 75)


def test_orders_and_precision_are_drawn_and_other_tables_are_not(tmp_path: Path) -> None:
    columns = ("order", "reviewed, %", "errors found, %", "from", "to", "cgF1 of labels", "cgF1 where reviewers slip")
    ways = ("riskiest first", "corrected", "refitted", "random", "wrong ones first")
    rows = [(way, share, found, found, found, 65.0, 64.0) for way in ways for share, found in ((0, 0.0), (20, 95.0))]
    plot_table(Table("engine-order-any", "Errors", columns, rows, {}), tmp_path)
    curve = [(str(share), 99.0, 98.0, 80.0, 70.0, 99.5, 99.0) for share in (10, 100)]
    plot_table(Table("engine-precision-any", "Right", ["share"] * 7, curve, {}), tmp_path)
    plot_table(Table("engine-negatives", "Negatives", ["a"], [[1]], {}), tmp_path)
    images = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert sorted(images) == ["engine-order-any-labels.svg", "engine-order-any.svg", "engine-precision-any.svg"]
    assert all("<svg" in text for text in images.values())
