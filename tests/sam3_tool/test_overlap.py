import numpy as np
import pytest

from bench.suites.drawing import draw_blob_scene
from sam3_tool import Instances, remove_overlaps
from sam3_tool.overlap import BLOCK_SIZE, compute_intersection_over_smaller


def bars(*spans: tuple[int, int], scores: list[float]) -> Instances:
    """One mask per span of columns, in a picture 100 wide and 10 high."""
    masks = np.zeros((len(spans), 10, 100), bool)
    for mask, (start, end) in zip(masks, spans, strict=True):
        mask[:, start:end] = True
    return Instances(masks, np.zeros((len(spans), 4), np.float32), np.array(scores, np.float32), 0.9, "bar")


def kept(instances: Instances, **options: float) -> list[float]:
    return [round(score, 2) for score in remove_overlaps(instances, **options).scores.tolist()]


def test_the_better_of_two_overlapping_masks_stays():
    assert kept(bars((0, 10), (5, 15), (50, 60), scores=[0.6, 0.8, 0.7])) == [0.8, 0.7]


def test_at_a_tie_the_earlier_mask_stays():
    left = remove_overlaps(bars((0, 10), (5, 15), scores=[0.7, 0.7]))
    assert left.masks[0, 0, 0]
    assert len(left) == 1


def test_only_more_than_the_threshold_is_too_much():
    touching = bars((0, 10), (7, 17), scores=[0.9, 0.8])  # they share 3 of 10 columns
    assert len(remove_overlaps(touching)) == 2
    assert len(remove_overlaps(touching, threshold=0.29)) == 1


def test_the_smaller_area_counts_so_a_part_excludes_its_whole():
    assert kept(bars((0, 100), (40, 50), scores=[0.6, 0.9])) == [0.9]


def test_a_removed_mask_removes_nothing():
    assert kept(bars((0, 20), (10, 30), (22, 40), scores=[0.9, 0.8, 0.7])) == [0.9, 0.7]


def test_empty_masks_and_no_masks_pass():
    assert len(remove_overlaps(bars((0, 0), (0, 0), scores=[0.9, 0.8]))) == 2
    assert len(remove_overlaps(Instances.empty(4, 4))) == 0


@pytest.mark.parametrize(("number", "seed"), [(BLOCK_SIZE - 1, 0), (BLOCK_SIZE + 1, 1), (3 * BLOCK_SIZE, 2)])
@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.9])
def test_comparing_in_blocks_keeps_what_comparing_every_mask_with_every_other_keeps(number, seed, threshold):
    found = draw_blob_scene(90, 160, number, seed=seed)[1]
    shuffled = found[np.random.default_rng(seed).permutation(number)]
    flat = shuffled.masks.reshape(number, -1).astype(np.float64)  # whose product BLAS computes, exactly
    areas = flat.sum(axis=1)
    overlaps = flat @ flat.T / np.maximum(np.minimum(areas[:, None], areas), 1) > np.float32(threshold)
    kept: list[int] = []
    for index in np.argsort(-shuffled.scores, kind="stable"):
        if not overlaps[index, kept].any():
            kept.append(int(index))
    assert np.array_equal(remove_overlaps(shuffled, threshold=threshold).scores, shuffled.scores[sorted(kept)])


def test_the_share_of_the_smaller_is_exact_and_the_same_from_both_sides():
    found = draw_blob_scene(90, 160, 60)[1]
    flat = found.masks.reshape(60, -1).astype(np.float64)
    areas = flat.sum(axis=1)
    exact = (flat @ flat.T / np.maximum(np.minimum(areas[:, None], areas), 1)).astype(np.float32)
    assert np.array_equal(compute_intersection_over_smaller(found.rles, found.rles), exact)
