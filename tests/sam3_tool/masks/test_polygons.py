"""A mask that became polygons is drawn from them again, pixel for pixel."""

import numpy as np
import pytest

from sam3_tool.masks.polygons import join_rings, mask_to_polygons, to_edge_coordinates, trace_rings
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


@pytest.mark.parametrize("seed", range(12))
def test_one_ring_over_all_parts_and_holes_draws_the_mask_again(seed):
    chance = np.random.default_rng(seed)
    mask = chance.random((70, 50)) < chance.choice([0.1, 0.5, 0.9])
    rings = trace_rings(mask)
    drawn = from_polygons([to_edge_coordinates(join_rings(rings)).ravel().tolist()], 70, 50)
    assert (decode_mask(merge_masks(drawn)) == mask).all()


@pytest.mark.parametrize("count", [2, 5, 33, 200])
def test_each_ring_is_joined_at_the_nearest_corner_before_it_the_first_of_equals(count):
    """The same walk as one that searches the whole ring again for each next one, if no corner is there twice."""
    chance = np.random.default_rng(count)
    corners = chance.permutation(count * 40)[: count * 4]
    places = np.column_stack([corners % 97, corners // 97])
    rings = [*places.reshape(count, 4, 2)]
    order = join_rings(rings)
    assert len(order) == sum(map(len, rings)) + 2 * (count - 1)
    assert {tuple(place) for place in order.tolist()} == {tuple(place) for place in places.tolist()}
    for number, ring in enumerate(rings[1:], start=1):
        before = np.concatenate(rings[:number])
        anchor = before[np.abs(before - ring[0]).sum(axis=1).argmin()]
        starts = np.flatnonzero((order == ring[0]).all(axis=1))
        assert any((order[start - 1] == anchor).all() for start in starts)


def test_a_mask_without_holes_keeps_its_corners():
    ring = np.array([[0, 0], [0, 3], [3, 3], [3, 0]])
    assert join_rings([ring]) is ring
