"""Masks become runs on the device that made them, so that no pixel of them has to leave it."""

import numpy as np
import torch

from sam3_tool.rle import Rle, from_ends


def encode_all(masks: torch.Tensor) -> list[Rle]:
    """`masks`: bool, (N, H, W), on any device: what `sam3_tool.rle.encode_all` makes of them, to the last letter."""
    number, height, width = masks.shape
    columns = masks.transpose(1, 2).reshape(number, height * width)
    ends = columns.clone()
    ends[:, 1:] ^= columns[:, :-1]
    counts = ends.sum(dim=1)
    places = ends.nonzero()[:, 1]
    split = np.split(places.cpu().numpy(), np.cumsum(counts.cpu().numpy())[:-1]) if number else []
    return [from_ends(some, height, width) for some in split]
