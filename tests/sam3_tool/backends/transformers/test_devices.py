"""The network runs on a device that is not the CPU: on 'meta', which knows shapes and no numbers, any tensor that was
left behind is an error."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx.experimental.symbolic_shapes import ShapeEnv

from sam3_tool import Image, ScriptedBackend, VisualPrompt
from sam3_tool.backends.transformers.backend import TransformersBackend
from sam3_tool.backends.transformers.files.checkpoint import locate_checkpoint
from sam3_tool.backends.transformers.files.weights import read_detector, read_tracker
from sam3_tool.backends.transformers.hardware.devices import (
    SMALL_BYTES,
    choose_device_type,
    has_bfloat16_units,
    list_device_types,
    resolve_device,
    resolve_dtype,
)
from sam3_tool.backends.transformers.hardware.transfers import to_device, to_host, upload_pixels
from sam3_tool.backends.transformers.layers.mask_runs import find_run_ends
from sam3_tool.backends.transformers.tracker import Tracker
from sam3_tool.errors import DeviceError
from sam3_tool.sam3 import CACHE_BYTES, GPU_BYTES, HOST_BYTES, choose_cache_bytes

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
    levels = network._tracker.compute_levels(seen(network).last_hidden_state[:1])
    assert {level.device.type for level in levels} == {"meta"}


def test_pixels_are_a_copy_on_the_device():
    pixels = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    pixels.flags.writeable = False
    there = upload_pixels(pixels, torch.device("cpu"))
    assert torch.equal(there, torch.tensor(pixels))
    assert upload_pixels(pixels, torch.device("meta")).device.type == "meta"
    assert to_host(to_device(there, torch.device("cpu"))) is there


# Fake CUDA: kernels are not run, but every tensor must be on the device and of the right type


@pytest.fixture(scope="module", params=[torch.float32, torch.bfloat16, torch.float16])
def on_fake_cuda(request) -> tuple[Tracker, FakeTensorMode]:
    model, _ = read_detector(locate_checkpoint("tiny"), request.param)
    tracker = read_tracker(locate_checkpoint("tiny"), model)
    tracker.mask_downsample = torch.nn.Conv2d(1, 1, 4, 4)
    mode = FakeTensorMode(allow_non_fake_inputs=True)
    with mode, torch.no_grad():
        for part in tracker.modules():
            for name, tensor in (*part.named_parameters(recurse=False), *part.named_buffers(recurse=False)):
                there = mode.from_tensor(tensor.detach()).to("cuda")
                setattr(
                    part, name, torch.nn.Parameter(there, requires_grad=False) if name in part._parameters else there
                )
        return Tracker(tracker), mode


@dataclass(frozen=True, eq=False)
class FakeEmbedding:
    trunk: torch.Tensor
    key: str = "image"
    height: int = 240
    width: int = 320


POINTS, BOX, MASK = ((90.0, 120.0), (245.0, 125.0)), (30.0, 60.0, 150.0, 180.0), np.eye(240, 320, dtype=bool)


@pytest.mark.parametrize(
    "prompt",
    [
        VisualPrompt(POINTS[:1]),
        VisualPrompt(POINTS, (1, 0)),
        VisualPrompt(box=BOX),
        VisualPrompt(POINTS, box=BOX),
        VisualPrompt(mask=MASK),
        VisualPrompt(POINTS[:1], mask=MASK),
        VisualPrompt(box=BOX, mask=MASK),
        VisualPrompt(POINTS, box=BOX, mask=MASK, multimask=False),
    ],
)
def test_what_a_prompt_becomes_is_on_the_gpu_in_the_format_of_the_network(on_fake_cuda, prompt):
    tracker, mode = on_fake_cuda
    with mode, torch.no_grad():
        check_on_cuda(tracker, prompt, tracker._dtype)


def check_on_cuda(tracker: Tracker, prompt: VisualPrompt, dtype: torch.dtype) -> None:
    width = tracker.model.mask_decoder.hidden_size
    trunk = torch.empty(
        1, 256, tracker.model.vision_encoder.config.backbone_config.hidden_size, device="cuda", dtype=dtype
    )
    embeddings = [FakeEmbedding(trunk), FakeEmbedding(trunk)]
    sparse, dense = tracker._encode_prompts(embeddings, [prompt, prompt])
    assert (sparse.device.type, dense.device.type) == ("cuda", "cuda")
    assert (sparse.dtype, dense.dtype) == (dtype, dtype)
    places = len(prompt.points) + 2 * (prompt.box is not None)
    assert sparse.shape == (2, 1, places + (places > 0), width)
    levels = tracker.compute_levels(trunk)
    *fine, coarse = (torch.cat([level, level]) for level in levels)
    masks, quality, _, presence = tracker.model.mask_decoder(
        image_embeddings=coarse,
        image_positional_embeddings=tracker.model.get_image_wide_positional_embeddings().repeat(2, 1, 1, 1),
        sparse_prompt_embeddings=sparse,
        dense_prompt_embeddings=dense,
        multimask_output=prompt.multimask,
        high_resolution_features=fine,
    )
    assert masks.shape[:3] == (2, 1, 3 if prompt.multimask else 1)
    assert {found.dtype for found in (masks, quality, presence, *levels)} == {dtype}
    assert {found.device.type for found in (masks, quality, presence, *levels)} == {"cuda"}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_an_embedding_waits_in_the_hosts_memory_and_comes_back_in_its_format(dtype):
    with FakeTensorMode():
        there = torch.empty(1, 256, 64, device="cuda", dtype=dtype)
        waiting = to_host(there)
        back = to_device(waiting, torch.device("cuda"))
    assert [(copy.device.type, copy.dtype, copy.shape) for copy in (waiting, back)] == [
        ("cpu", dtype, there.shape),
        ("cuda", dtype, there.shape),
    ]


def test_ends_of_runs_are_found_where_the_masks_are():
    with FakeTensorMode(shape_env=ShapeEnv()):  # how many there are depends on the numbers
        places, counts = find_run_ends(torch.empty(3, 30, 40, device="cuda", dtype=torch.bool))
    assert {found.device.type for found in (places, counts)} == {"cuda"}
    assert {found.dtype for found in (places, counts)} == {torch.int64}
    assert counts.shape == (3,)


# Number formats and memory


ABSENT = {
    "gpu": "a GPU is cuda, mps or xpu to PyTorch",
    "": "expected auto, cpu, cuda, ",
    "cpu:x": "expected auto, cpu, cuda, ",
    "cuda:-1": "expected auto, cpu, cuda, ",
    "gpu0": "expected auto, cpu, cuda, ",
    "cpu,cpu": "one network runs on one device",
    "cuda:0,1": "`serve --gpus 0,1` start one on each GPU",
    "vulkan": "expected auto, cpu, cuda, ",
    "meta": "tensors there hold no numbers",
    "npu": "a package of its maker's",
    "hpu": "a package of its maker's",
    "privateuseone": "no package has named it",
    "xpu": "PyTorch finds no GPU of Intel's",
    "mps": "PyTorch finds no GPU of Apple's",
    "cuda": "PyTorch finds no GPU or no driver of NVIDIA's or AMD's|this PyTorch is built without CUDA",
    "CUDA:7": "PyTorch finds no GPU or no driver of NVIDIA's or AMD's|this PyTorch is built without CUDA",
}
"""Name of a device -> why it cannot be used on a machine without a GPU."""


@pytest.mark.parametrize("name", ABSENT)
def test_a_device_that_is_not_here_is_one_sentence(name):
    if name.lower().partition(":")[0] in list_device_types():
        pytest.skip("there is one")
    with pytest.raises(DeviceError, match=ABSENT[name]) as caught:
        resolve_device(name)
    said = str(caught.value)
    assert said.startswith(f"device {name!r} cannot be used here (")
    assert said.endswith(f"; try {' or '.join(list_device_types())}")
    assert "\n" not in said


@pytest.mark.parametrize("name", ["cpu", "CPU", "cpu:0", " cpu "])
def test_the_cpu_has_several_names(name):
    assert resolve_device(name) == torch.device("cpu")


@pytest.mark.parametrize(
    ("here", "chosen"),
    [
        ({"cpu"}, "cpu"),
        ({"cpu", "mps"}, "mps"),
        ({"cpu", "cuda"}, "cuda"),
        ({"cpu", "mps", "cuda", "xpu"}, "cuda"),
        ({"cpu", "xpu"}, "cpu"),
    ],
)
def test_by_itself_the_best_known_device_is_taken(here, chosen):
    assert choose_device_type(here) == chosen


def test_a_device_is_taken_by_itself_only_if_it_is_here():
    assert resolve_device("auto").type == choose_device_type(list_device_types())


@pytest.mark.parametrize("kind", ["cpu", "mps", "xpu"])
@pytest.mark.parametrize("nbytes", [0, SMALL_BYTES, 4 * 2**30])
def test_by_itself_a_network_is_in_16_bits_only_where_that_is_quicker(kind, nbytes):
    device = torch.device(kind)
    narrow = nbytes > SMALL_BYTES and has_bfloat16_units(device)
    assert resolve_dtype("auto", device, nbytes) == (torch.bfloat16 if narrow else torch.float32)


@pytest.mark.parametrize("name", ["float64", "double", "int8", "", "half"])
@pytest.mark.parametrize("kind", ["cpu", "mps", "cuda"])
def test_no_device_is_given_a_format_that_it_may_not_know(kind, name):
    with pytest.raises(ValueError, match="must be one of auto, bfloat16, float16, float32, got"):
        resolve_dtype(name, torch.device(kind), 0)


class OnGpu(ScriptedBackend):
    """A backend that says how much room its GPU has."""

    is_on_gpu = True
    free_bytes = 2**31


def test_a_small_gpu_and_a_small_host_get_small_caches():
    assert choose_cache_bytes(OnGpu({}), 2**34) == (2**29, 2**31)


def test_a_large_gpu_and_a_large_host_get_no_more_than_enough():
    large = OnGpu({})
    large.free_bytes = 2**37
    assert choose_cache_bytes(large, 2**40) == (GPU_BYTES, HOST_BYTES)


def test_a_backend_that_does_not_say_what_is_free_gets_the_usual_room():
    class Silent(ScriptedBackend):
        is_on_gpu = True

    assert choose_cache_bytes(Silent({}), 2**40) == (GPU_BYTES, HOST_BYTES)
    assert choose_cache_bytes(ScriptedBackend({}), 2**30) == (CACHE_BYTES, 0)
