import numpy as np
import pytest
from pycocotools import mask as coco

from sam3_tool.masks import rle


@pytest.fixture
def masks() -> np.ndarray:
    return np.random.default_rng(0).random((4, 37, 53)) > 0.6


def test_masks_survive_the_round_trip(masks):
    assert (rle.decode_masks(rle.encode_masks(masks), 37, 53) == masks).all()
    assert (rle.decode_mask(rle.encode_mask(masks[2])) == masks[2]).all()


def test_the_columns_of_a_mask_are_those_of_the_whole_mask():
    chance = np.random.default_rng(7)
    for height, width in chance.integers(1, 40, (200, 2)).tolist():
        mask = chance.random((height, width)) < chance.choice([0, 0.02, 0.3, 1])
        mask[:, : width // 3] = False
        first, columns = rle.decode_columns(rle.encode_mask(mask))
        whole = np.zeros((width, height), bool)
        whole[first : first + len(columns)] = columns
        assert (mask == whole.T).all()
        touched = np.flatnonzero(mask.any(axis=0))
        assert (first, len(columns)) == ((touched[0], np.ptp(touched) + 1) if len(touched) else (0, 0))


def test_a_tight_mask_is_the_whole_mask_where_it_is():
    chance = np.random.default_rng(8)
    for height, width in chance.integers(1, 40, (200, 2)).tolist():
        mask = chance.random((height, width)) < chance.choice([0, 0.005, 0.02, 0.3, 1])
        x, y, tight = rle.decode_tight(rle.encode_mask(mask))
        whole = np.zeros((height, width), bool)
        whole[y : y + tight.shape[0], x : x + tight.shape[1]] = tight
        assert (mask == whole).all()
        edges = [tight[:1].any(), tight[-1:].any(), tight[:, :1].any(), tight[:, -1:].any()]
        assert edges == [bool(mask.any())] * 4


def test_the_columns_of_long_runs_are_right():
    mask = np.zeros((1080, 1920), bool)
    mask[:, 300:1700] = True
    mask[500:, 1700] = True
    first, columns = rle.decode_columns(rle.encode_mask(mask))
    assert (first, (mask[:, 300:1701] == columns.T).all()) == (300, True)


def test_masks_of_every_kind_are_encoded_as_pycocotools_does():
    chance = np.random.default_rng(3)
    for height, width in chance.integers(1, 25, (600, 2)).tolist():
        mask = chance.random((height, width)) < chance.choice([0, 0.02, 0.5, 0.98, 1])
        mask[: chance.integers(0, height + 1)] = False
        mask[:, chance.integers(0, width) :] |= chance.random() < 0.3
        for one in (mask, ~mask, mask.T, mask[:1], mask[:, :1]):
            assert rle.encode_mask(one) == rle.RleMask.from_coco(coco.encode(np.asfortranarray(one, np.uint8)))


def test_a_part_of_a_mask_is_encoded_as_the_whole():
    chance = np.random.default_rng(5)
    for height, width, top, left, tall, wide in chance.integers(1, 20, (300, 6)).tolist():
        part = chance.random((tall, wide)) < chance.choice([0, 0.02, 0.5, 1])
        whole = np.zeros((top - 1 + tall + height - 1, left - 1 + wide + width - 1), bool)
        whole[top - 1 : top - 1 + tall, left - 1 : left - 1 + wide] = part
        assert rle.encode_mask_at(part, left - 1, top - 1, *whole.shape) == rle.encode_mask(whole)


def test_large_masks_of_few_and_of_many_runs_are_encoded_as_pycocotools_does():
    chance = np.random.default_rng(4)
    rows, columns = np.mgrid[:400, :500]
    disc = (rows - 210) ** 2 + (columns - 90) ** 2 < 85**2
    for mask in (disc, ~disc, disc & (columns % 7 > 0), chance.random((400, 500)) < 0.5, columns > 250, rows > 250):
        assert rle.encode_mask(mask) == rle.RleMask.from_coco(coco.encode(np.asfortranarray(mask, np.uint8)))


def test_no_masks_keep_their_size():
    assert rle.encode_masks(np.zeros((0, 5, 7), bool)) == []
    assert rle.decode_masks([], 5, 7).shape == (0, 5, 7)
    assert rle.compute_areas([]).tolist() == []
    assert rle.compute_ious([], []).shape == (0, 0)


def test_pycocotools_reads_it_as_it_is(masks):
    segmentation = rle.encode_mask(masks[0]).to_coco()
    assert isinstance(segmentation["counts"], str)
    assert (coco.decode(segmentation) == masks[0]).all()
    assert rle.RleMask.from_coco(coco.encode(np.asfortranarray(masks[0], np.uint8))) == rle.encode_mask(masks[0])


def test_areas_and_overlaps_are_those_of_the_masks(masks):
    rles = rle.encode_masks(masks)
    both = (masks[:, None] & masks).sum(axis=(2, 3))
    either = (masks[:, None] | masks).sum(axis=(2, 3))
    assert rle.compute_areas(rles).tolist() == masks.sum(axis=(1, 2)).tolist()
    assert np.allclose(rle.compute_ious(rles, rles), both / either)
    assert np.allclose(rle.compute_coverage(rles, rles), both / masks.sum(axis=(1, 2))[:, None])


def test_an_empty_mask_overlaps_nothing(masks):
    nothing = [rle.encode_mask(np.zeros((37, 53), bool))]
    assert rle.compute_ious(nothing, nothing).tolist() == rle.compute_coverage(nothing, nothing).tolist() == [[0.0]]
    assert rle.compute_coverage(nothing, rle.encode_masks(masks)).tolist() == [[0.0] * 4]


def test_merging_is_union_or_intersection(masks):
    rles = rle.encode_masks(masks)
    assert (rle.decode_mask(rle.merge_masks(rles)) == masks.any(axis=0)).all()
    assert (rle.decode_mask(rle.merge_masks(rles, intersect=True)) == masks.all(axis=0)).all()


def test_masks_of_any_kind_are_well_formed(masks):
    for mask in (*masks, masks[0] & False, masks[0] | True):
        rle.check_runs(rle.encode_mask(mask))


@pytest.mark.parametrize(
    "counts",
    [
        "04",  # one pixel too many
        "02",  # one too few
        "4O",  # 4 and -1
        "0S",  # ends within a run
        "03 ",  # a letter that is none
        "03" + "0o",  # begins well, ends within a run of many letters
        "0" + "SPPPPP0",  # 3, in seven letters: pycocotools may read another number
    ],
)
def test_runs_that_do_not_make_up_the_mask_are_refused(counts):
    with pytest.raises(ValueError, match="run"):
        rle.check_runs(rle.RleMask((1, 3), counts))


@pytest.mark.parametrize("number", [0, 1, 255, 256, 700])
def test_any_number_of_masks_is_measured(number: int) -> None:
    masks = np.random.default_rng(0).random((number, 5, 7)) > 0.5
    assert rle.compute_areas(rle.encode_masks(masks)).tolist() == masks.sum(axis=(1, 2)).tolist()
