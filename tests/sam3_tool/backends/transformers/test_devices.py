"""The network runs on a device that is not the CPU: on 'meta', which knows shapes and no numbers, any tensor that was
left behind is an error."""

from typing import Any

import numpy as np
import pytest
import torch

from sam3_tool import Image
from sam3_tool.backends.transformers.backend import TransformersBackend
from sam3_tool.backends.transformers.checkpoint import locate_checkpoint
from sam3_tool.backends.transformers.transfers import to_device, to_host, upload_pixels
from sam3_tool.backends.transformers.weights import read_detector, read_tracker

PICTURES = [Image(np.zeros((48, 64, 3), np.uint8)), Image(np.zeros((30, 20, 3), np.uint8))]


@pytest.fixture(scope="module", params=[torch.float32, torch.bfloat16])
def network(request) -> TransformersBackend:
    model, readers = read_detector(locate_checkpoint("tiny"), request.param)
    tracker = read_tracker(locate_checkpoint("tiny"), model).to("meta", memory_format=torch.channels_last)
    elsewhere = model.to("meta", memory_format=torch.channels_last)
    return TransformersBackend(elsewhere, readers, name="elsewhere", vocabulary=None, tracker=tracker)


@torch.inference_mode()
def seen(network: TransformersBackend) -> Any:
    """What the vision encoder gives; transformers' other parts ask for numbers on their way."""
    squares = torch.cat([network._to_square(picture) for picture in PICTURES])
    assert (squares.device.type, squares.dtype) == ("meta", torch.float32)
    return network._model.get_vision_features(squares.to(network._model.dtype))


def test_pictures_are_squeezed_and_seen_where_the_network_is(network):
    vision = seen(network)
    tensors = (*vision.fpn_hidden_states, *vision.fpn_position_encoding, vision.last_hidden_state)
    assert {tensor.device.type for tensor in tensors} == {"meta"}
    assert {len(level) for level in vision.fpn_hidden_states} == {2}


@torch.inference_mode()
def test_what_a_click_needs_is_made_where_the_network_is(network):
    levels = network._tracker._compute_levels(seen(network).last_hidden_state[:1])
    assert {level.device.type for level in levels} == {"meta"}


def test_pixels_are_a_copy_on_the_device():
    pixels = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    pixels.flags.writeable = False
    there = upload_pixels(pixels, torch.device("cpu"))
    assert torch.equal(there, torch.tensor(pixels))
    assert upload_pixels(pixels, torch.device("meta")).device.type == "meta"
    assert to_host(to_device(there, torch.device("cpu"))) is there
