"""The network runs on a device that is not the CPU: on 'meta', which knows shapes and no numbers, any tensor that was
left behind is an error."""

import numpy as np
import pytest
import torch

from sam3_tool import Picture
from sam3_tool.backends.checkpoint import locate
from sam3_tool.backends.transfers import to_device, to_host, uploaded
from sam3_tool.backends.transformers import TransformersBackend
from sam3_tool.backends.weights import read, read_tracker

PICTURES = [Picture(np.zeros((48, 64, 3), np.uint8)), Picture(np.zeros((30, 20, 3), np.uint8))]


@pytest.fixture(scope="module", params=[torch.float32, torch.bfloat16])
def network(request) -> TransformersBackend:
    model, readers = read(locate("tiny"), request.param)
    tracker = read_tracker(locate("tiny"), model).to("meta", memory_format=torch.channels_last)
    elsewhere = model.to("meta", memory_format=torch.channels_last)
    return TransformersBackend(elsewhere, readers, name="elsewhere", vocabulary=None, tracker=tracker)


def test_pictures_are_encoded_where_the_network_is(network):
    embeddings = network.encode(PICTURES)
    tensors = [tensor for one in embeddings for tensor in (*one.levels, one.trunk)]
    assert {tensor.device.type for tensor in tensors} == {"meta"}
    assert [(one.height, one.width) for one in embeddings] == [(48, 64), (30, 20)]


def test_what_a_click_needs_is_made_where_the_network_is(network):
    with torch.inference_mode():
        levels = network._tracker._seen(network.encode(PICTURES[:1])[0])
    assert {level.device.type for level in levels} == {"meta"}


def test_pixels_are_a_copy_on_the_device():
    pixels = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    pixels.flags.writeable = False
    there = uploaded(pixels, torch.device("cpu"))
    assert torch.equal(there, torch.tensor(pixels))
    assert uploaded(pixels, torch.device("meta")).device.type == "meta"
    assert to_host(to_device(there, torch.device("cpu"))) is there
