"""What a device does to masks gives what the CPU's own ways give, to the last pixel and letter."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from sam3_tool import Instances
from sam3_tool.backends.transformers.layers.mask_runs import encode_on_device
from sam3_tool.backends.transformers.layers.upsampling import threshold_to_runs, threshold_upsampled
from sam3_tool.masks import rle
from sam3_tool.masks.boxes import masks_to_boxes

SIZES = [(1, 1), (1, 7), (7, 1), (2, 3), (37, 50), (64, 64), (33, 129)]
NOISE = np.random.default_rng(0)


def blobs(number: int, height: int, width: int) -> torch.Tensor:
    """float32, (number, height, width): smooth logits, of which about half are above 0."""
    coarse = torch.from_numpy(NOISE.normal(size=(1, number, 5, 5))).float()
    return functional.interpolate(coarse, size=(height, width), mode="bicubic")[0]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("share", [0, 0.001, 0.01, 0.1, 0.5, 0.9, 0.999, 1])
def test_runs_made_by_comparing_neighbours_are_cocos(size, share):
    masks = NOISE.random((20, *size)) < share
    assert encode_on_device(torch.from_numpy(masks)) == rle.encode_masks(masks)


def test_every_mask_of_two_by_three_pixels():
    masks = np.array([[int(bit) for bit in f"{number:06b}"] for number in range(64)], bool).reshape(64, 2, 3)
    assert encode_on_device(torch.from_numpy(masks)) == rle.encode_masks(masks)


def test_a_single_pixel_anywhere():
    masks = np.eye(7 * 11, dtype=bool).reshape(77, 7, 11)
    assert encode_on_device(torch.from_numpy(masks)) == rle.encode_masks(masks)
    assert encode_on_device(torch.from_numpy(~masks)) == rle.encode_masks(~masks)


def test_masks_that_do_not_lie_in_one_piece_of_memory():
    masks = torch.from_numpy(NOISE.random((4, 40, 60)) < 0.3)[::2, 3:31:2, 5:].transpose(1, 2)
    assert encode_on_device(masks) == rle.encode_masks(masks.numpy())


def test_no_masks_have_no_runs():
    assert encode_on_device(torch.zeros(0, 4, 5, dtype=torch.bool)) == []
    assert threshold_to_runs(torch.zeros(0, 1, 1), 4, 5) == []
    assert rle.compute_boxes([]).shape == (0, 4)


@pytest.mark.parametrize("size", SIZES)
def test_boxes_of_runs_are_those_of_the_pixels(size):
    masks = np.concatenate([NOISE.random((8, *size)) < share for share in (0, 0.01, 0.5, 1)])
    boxes = rle.compute_boxes(rle.encode_masks(masks))
    assert boxes.dtype == np.float32
    assert (boxes == masks_to_boxes(masks)).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("size", [(480, 640), (37, 50), (1080, 1920)])
def test_cutting_on_a_device_gives_the_runs_of_what_is_cut_on_the_cpu(size, dtype):
    logits = blobs(34 if size[0] == 1080 else 12, 36, 36).to(dtype)  # of the large ones, more than fit at one time
    here, there = threshold_upsampled(logits, *size), rle.decode_masks(threshold_to_runs(logits, *size), *size)
    for mask in np.flatnonzero((here != there).any(axis=(1, 2))):  # rounding may take one pixel of a billion over 0
        [upsampled] = functional.interpolate(logits[None, mask : mask + 1].float(), size=size, mode="bilinear")
        assert upsampled[0].numpy()[here[mask] != there[mask]] == pytest.approx(0, abs=1e-6)


# Instances that are runs first


@pytest.fixture
def dense() -> Instances:
    masks = NOISE.random((5, 20, 30)) < np.array([0.5, 0, 1, 0.01, 0.3])[:, None, None]
    return Instances(masks, masks_to_boxes(masks), np.linspace(1, 0, 5, dtype=np.float32), 0.9, "speck")


@pytest.fixture
def compressed(dense) -> Instances:
    numbers = {"boxes": dense.boxes, "scores": dense.scores, "presence": dense.presence, "phrase": dense.phrase}
    return Instances.from_rles(dense.rles, (20, 30), **numbers)


def assert_same(one: Instances, other: Instances) -> None:
    assert (len(one), one.size, one.presence, one.phrase) == (len(other), other.size, other.presence, other.phrase)
    assert one.rles == other.rles
    assert one.areas.tolist() == other.areas.tolist()
    assert (one.boxes == other.boxes).all()
    assert (one.scores == other.scores).all()
    assert one.masks.dtype == other.masks.dtype
    assert (one.masks == other.masks).all()
    assert (one.compute_union() == other.compute_union()).all()


def test_masks_are_made_of_runs_when_somebody_asks(compressed, dense):
    assert_same(compressed, dense)


@pytest.mark.parametrize("keep", [[2, 0], [], [3, 3, -1], [0, 1, 2, 3, 4], [True, False, True, False, False]])
@pytest.mark.parametrize("looked_at", [False, True])
def test_what_is_chosen_of_runs_is_what_is_chosen_of_masks(compressed, dense, keep, looked_at):
    if looked_at:
        assert compressed.masks.any()
    index = np.array(keep, dtype=bool if True in keep else int)
    assert_same(compressed[index], dense[index])


def test_runs_that_do_not_go_with_the_numbers_or_the_size_are_refused(dense):
    numbers = {"boxes": dense.boxes, "scores": dense.scores, "presence": 0.9, "phrase": ""}
    with pytest.raises(ValueError, match="4 masks, but boxes are"):
        Instances.from_rles(dense.rles[:4], (20, 30), **numbers)
    with pytest.raises(ValueError, match=r"of \(20, 30\) pixels, expected \(30, 20\)"):
        Instances.from_rles(dense.rles, (30, 20), **numbers)
