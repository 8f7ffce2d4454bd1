"""A mask that became polygons is drawn from them again, pixel for pixel."""

import numpy as np
import pytest

from sam3_tool.masks.polygons import mask_to_polygons
from sam3_tool.masks.rle import decode_mask, from_polygons, merge_masks


@pytest.mark.parametrize("seed", range(20))
def test_cocos_rasteriser_draws_the_mask_again(seed):
    chance = np.random.default_rng(seed)
    height, width = chance.integers(2, 25, 2).tolist()
    mask = chance.random((height, width)) < chance.choice([0.1, 0.5, 0.9])
    mask[0, 0] = True
    assert (decode_mask(merge_masks(from_polygons(mask_to_polygons(mask), height, width))) == mask).all()


def test_an_empty_mask_has_no_polygon():
    assert mask_to_polygons(np.zeros((3, 4), bool)) == []
