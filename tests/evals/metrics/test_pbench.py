"""PBench's F1, beyond the committed cases of its official code."""

import numpy as np
import pytest

from evals.errors import ScoringError
from evals.metrics import pbench
from sam3_tool.masks import rle


def draw(rows: int, columns: int = 10):
    """A mask of 20 x 20 with its first rows and columns filled."""
    mask = np.zeros((20, 20), bool)
    mask[:rows, :columns] = True
    return rle.encode_mask(mask)


def test_of_two_that_overlap_by_more_than_half_the_larger_stays_in_any_order():
    large, small, apart = draw(10), draw(8), draw(4)
    for masks in ([large, small, apart], [apart, small, large], [small, apart, large]):
        assert {mask.counts for mask in pbench.suppress_smaller(masks)} == {large.counts, apart.counts}
    assert pbench.suppress_smaller([draw(10), draw(5)]) == [draw(10), draw(5)]  # an IoU of just 0.5
    assert pbench.suppress_smaller([draw(5)] * 3) == [draw(5)]
    assert pbench.suppress_smaller([]) == []


def test_more_instances_than_there_are_cost_precision():
    target, other = draw(4, 4), rle.encode_mask(np.fliplr(rle.decode_mask(draw(4, 4))))
    assert pbench.judge_sample([target], [target]).f1 == pytest.approx(1, abs=1e-7)
    assert pbench.judge_sample([target, other], [target]).f1 == pytest.approx(2 / 3, abs=1e-7)
    assert pbench.judge_sample([target], [target, other]).f1 == pytest.approx(2 / 3, abs=1e-7)


def test_what_has_no_value_is_told():
    with pytest.raises(ScoringError, match="no samples"):
        pbench.score([])
    with pytest.raises(ScoringError, match="its masks are 20 x 20 and 40 x 30 pixels"):
        pbench.score([([draw(4)], [rle.encode_mask(np.ones((30, 40), bool))])])
    assert pbench.score([([], [])])["f1"] == 0


def test_an_empty_mask_is_a_prediction():
    assert pbench.judge_sample([draw(0)], []).predicted == 1
    assert pbench.judge_sample([draw(0)], [draw(4)]) == (0.0, 1, 1)
