import numpy as np
import pytest
import torch
from scipy import ndimage

from sam3_tool.backends.transformers.layers.holes import fill_small_holes

SIDE = 288
"""Of the published network's mask logits."""


def drawn(*holes: tuple[int, int, int, int]) -> torch.Tensor:
    """Logits (1, SIDE, SIDE) of a filled square with these holes: top, left, height, width."""
    logits = torch.full((SIDE, SIDE), -3.0)
    logits[40:240, 40:240] = 4.0
    for top, left, height, width in holes:
        logits[top : top + height, left : left + width] = -0.5
    return logits[None]


@pytest.mark.parametrize(
    ("hole", "is_filled"),
    [((100, 100, 16, 16), True), ((100, 100, 1, 257), False), ((100, 100, 1, 100), True), ((100, 100, 17, 16), False)],
)
def test_a_hole_of_up_to_256_cells_is_filled(hole, is_filled):
    filled = fill_small_holes(drawn(hole))
    assert torch.equal(filled > 0, drawn() > 0) == is_filled
    assert (filled[0, 100, 100] == (10.0 if is_filled else -0.5)).item()


def test_only_the_hole_changes():
    before = drawn((100, 100, 5, 5))
    filled = fill_small_holes(before)
    changed = filled != before
    assert changed.sum() == 25
    assert changed[0, 100:105, 100:105].all()


def test_holes_that_meet_at_a_corner_are_one():
    assert torch.equal(
        fill_small_holes(drawn((100, 100, 12, 12), (112, 112, 12, 12))), drawn((100, 100, 12, 12), (112, 112, 12, 12))
    )
    assert (fill_small_holes(drawn((100, 100, 12, 12), (113, 113, 12, 12))) > 0).sum() == 200 * 200


def test_specks_outside_stay():
    logits = drawn()
    logits[0, 5, 5] = 1.0
    assert torch.equal(fill_small_holes(logits), logits)


@pytest.mark.parametrize("side", [64, 72, 288])
def test_a_hole_is_as_large_a_share_of_the_image_in_every_network(side):
    torch.manual_seed(side)
    logits = torch.nn.functional.interpolate(torch.randn(1, 6, side // 4, side // 4), size=(side, side))[0]
    filled = fill_small_holes(logits)
    for before, after in zip(logits.numpy(), filled.numpy(), strict=True):
        labels, count = ndimage.label(before <= 0, structure=np.ones((3, 3)))
        areas = ndimage.sum_labels(np.ones_like(labels), labels, np.arange(1, count + 1))
        small = np.isin(labels, 1 + np.flatnonzero(areas <= 256 * (side / 288) ** 2))
        assert np.array_equal(after, np.where(small, np.float32(10), before))


@pytest.mark.parametrize("value", [-1.0, 0.0, 1.0])
def test_a_mask_without_holes_stays(value):
    logits = torch.full((2, 64, 64), value)
    assert torch.equal(fill_small_holes(logits), logits)


def test_the_format_stays():
    filled = fill_small_holes(drawn((100, 100, 3, 3)).bfloat16())
    assert filled.dtype == torch.bfloat16
    assert filled[0, 101, 101] == 10
