"""Cutting only where a mask can be gives every pixel that cutting the whole picture gives."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from sam3_tool.backends.transformers.layers.upsampling import threshold_upsampled


def whole(logits: torch.Tensor, height: int, width: int) -> np.ndarray:
    upsampled = functional.interpolate(logits[None].float(), size=(height, width), mode="bilinear", align_corners=False)
    return (upsampled[0] > 0).numpy()


def blobs(number: int, height: int, width: int) -> torch.Tensor:
    """float32, (number, height, width): logits of wavy discs of all sizes, some over the border."""
    torch.manual_seed(0)
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    places, radii = torch.rand(2, number, 1, 1) * max(height, width), torch.rand(number, 1, 1) * height / 3
    distance = ((rows - places[0]) ** 2 + (columns - places[1]) ** 2).sqrt()
    return radii - distance + torch.randn(number, height, width)


@pytest.mark.parametrize("cells", [(64, 64), (288, 288), (5, 9), (1, 1)])
@pytest.mark.parametrize("size", [(480, 640), (1080, 1920), (37, 50), (1, 3), (3, 1)])
def test_masks_are_those_of_the_whole_picture_to_the_last_pixel(cells, size):
    logits = blobs(12, *cells)
    assert (threshold_upsampled(logits, *size) == whole(logits, *size)).all()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_narrow_logits_are_upsampled_in_float32(dtype):
    logits = blobs(4, 64, 64).to(dtype)
    assert (threshold_upsampled(logits, 333, 500) == whole(logits, 333, 500)).all()


def test_a_lone_cell_and_one_that_is_nowhere_above_zero():
    logits = torch.full((3, 8, 8), -1.0)
    logits[1, 7, 0] = 5.0
    logits[2] = 0.0
    masks = threshold_upsampled(logits, 80, 80)
    assert (masks == whole(logits, 80, 80)).all()
    assert masks.any(axis=(1, 2)).tolist() == [False, True, False]


def test_no_masks_are_no_masks():
    assert threshold_upsampled(torch.zeros(0, 64, 64), 20, 30).shape == (0, 20, 30)
