"""GPUs of Apple's, on a machine without one: what the network runs is compared with what PyTorch has for them."""

import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchgen
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from sam3_tool import ConceptPrompt, Image, PointsPrompt, VisualPrompt
from sam3_tool.backends.transformers.backend import TransformersBackend
from sam3_tool.backends.transformers.files.checkpoint import locate_checkpoint
from sam3_tool.backends.transformers.layers.rotary import rotate_pairs
from sam3_tool.backends.transformers.layers.upsampling import threshold_to_runs
from sam3_tool.synthetic.scenes import draw_scene

TORCHVISION = {"torchvision.roi_align.default"}
"""Operations that torchvision brings code for; for MPS in every format but float16."""
OTHERWISE = TORCHVISION | {"aten._scaled_dot_product_flash_attention_for_cpu.default"}
"""With what PyTorch takes for attention on a CPU; on MPS it takes `_scaled_dot_product_attention_math_for_mps`."""
UNKNOWN_TO_MPS = {torch.float64, torch.complex64, torch.complex128}
"""Formats that MPS lacks, or that early versions lack."""
ANYWHERE = {"CompositeExplicitAutograd", "CompositeExplicitAutogradNonFunctional", "CompositeImplicitAutograd"}


class Recorder(TorchDispatchMode):
    """Notes operations, their formats, and where a format came up that MPS lacks."""

    def __init__(self) -> None:
        super().__init__()
        self.operations: Counter[str] = Counter()
        self.formats: set[tuple[str, torch.dtype]] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        with self:  # into operations that are made of others
            parts = func.decompose(*args, **(kwargs or {}))
        if parts is not NotImplemented:
            return parts
        made = func(*args, **(kwargs or {}))
        self.operations[str(func)] += 1
        tensors = [leaf for leaf in tree_leaves((args, kwargs, made)) if isinstance(leaf, torch.Tensor)]
        self.formats |= {(str(func), tensor.dtype) for tensor in tensors}
        return made


@pytest.fixture(scope="module", params=["float32", "float16"])
def recorder(request) -> Recorder:
    """All that a network does for images and for a video."""
    backend = TransformersBackend.load(locate_checkpoint("tiny"), name="tiny", device="cpu", dtype=request.param)
    pictures = [Image(draw_scene(number, size=(120, 90)).pixels) for number in (6, 7)]
    click, box = VisualPrompt(((60.0, 45.0),)), (10.0, 10.0, 60.0, 60.0)
    with Recorder() as recorder:
        one, other = backend.encode(pictures)
        found = backend.decode(
            [one, one, other], [ConceptPrompt("object"), ConceptPrompt(boxes=(box,)), ConceptPrompt("circle")]
        )
        mask = found[0].masks[0]
        prompts = [click, VisualPrompt(box=box), VisualPrompt(click.points, mask=mask, fill_holes=True)]
        backend.refine([one] * 3, prompts)
        backend.segment_points(
            one, PointsPrompt(np.array([[60.0, 45.0]]), min_score=0.3, min_stability=0.5, stability_offset=1.0)
        )
        memory = backend.open_memory(90, 120, 5)
        [seen] = backend.detect([one], [ConceptPrompt("object")])
        memory.prompt(one, 0, 1, click)
        memory.begin(one, 0, [2], seen.logits[:1])
        low = memory.propagate(other, 1, remember=False)
        memory.remember(other, 1, low.ids, low.logits)
        memory.propagate(one, 2)
        threshold_to_runs(torch.from_numpy(low.logits), 90, 120)
    return recorder


def read_kernels() -> dict[str, set[str]]:
    """Return for what devices PyTorch has code, by operation and PyTorch's own table."""
    text = (Path(torchgen.__file__).parent / "packaged/ATen/native/native_functions.yaml").read_text()
    entries = {entry.partition("(")[0].strip(): entry for entry in re.split(r"^- func:", text, flags=re.MULTILINE)[1:]}

    def find_kernels(name: str) -> set[str]:
        if delegate := re.search(r"^  structured_delegate: (\S+)", entries[name], flags=re.MULTILINE):
            return find_kernels(delegate[1])
        keys = re.findall(r"^    ([\w, ]+):", entries[name].partition("\n  dispatch:")[2], flags=re.MULTILINE)
        return {key.strip() for line in keys for key in line.split(",")} or ANYWHERE

    return {name: find_kernels(name) for name in entries}


def name_operation(operation: str) -> str:
    return operation.removeprefix("aten.").removesuffix(".default")


def test_every_operation_has_code_for_mps(recorder):
    kernels = read_kernels()
    needed = set(recorder.operations) - OTHERWISE
    assert {"aten.convolution.default", "aten.addmm.default", "aten.nonzero.default"} <= needed
    assert {name for name in needed if not kernels[name_operation(name)] & {"MPS", *ANYWHERE}} == set()


def test_the_table_tells_what_mps_lacks():
    kernels = read_kernels()
    assert "MPS" in kernels["nonzero"]
    assert not kernels["geqrf"] & {"MPS", *ANYWHERE}


def test_no_format_reaches_the_network_that_mps_lacks(recorder):
    odd = {operation for operation, dtype in recorder.formats if dtype in UNKNOWN_TO_MPS}
    # the turns of pairs of numbers, which are real on MPS, and boxes that are read from NumPy and copied to float32
    turns = {"aten.view_as_complex.default", "aten.view_as_real.default", "aten.mul.Tensor"}
    assert odd <= turns | {"aten.lift_fresh.default", "aten.copy_.default"}


def test_regions_are_pooled_in_float32_for_mps_has_no_other(recorder):
    formats = {dtype for operation, dtype in recorder.formats if operation in TORCHVISION}
    assert formats == {torch.float32}


def test_turns_are_real_numbers_but_on_the_cpu_and_cuda():
    tokens, turns = torch.randn(2, 5, 3, 8), torch.randn(5, 1, 4, 2)
    expected = rotate_pairs(tokens, turns)
    with Recorder() as recorder:
        there = rotate_pairs(tokens.to("meta"), turns.to("meta"))
    assert (there.shape, there.dtype) == (expected.shape, torch.float32)
    assert not {dtype for _, dtype in recorder.formats} & UNKNOWN_TO_MPS
    real, imaginary = tokens.unflatten(-1, (4, 2)).unbind(-1)
    cosines, sines = turns.unbind(-1)
    turned = torch.stack((real * cosines - imaginary * sines, real * sines + imaginary * cosines), -1).flatten(-2)
    assert torch.allclose(expected, turned, atol=1e-6)


def test_attention_has_its_own_code_there():
    assert read_kernels()["_scaled_dot_product_attention_math_for_mps"] == {"MPS"}
