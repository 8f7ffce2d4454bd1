"""A device that cannot go on says so in one sentence, and the next question is answered."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from sam3_tool import ConceptPrompt, Sam3, VisualPrompt
from sam3_tool.backends.transformers.hardware.failures import explain_failures
from sam3_tool.errors import DeviceError

HUGE = 2**58


def fail_with(error: Exception) -> Callable[[], None]:
    def fail() -> None:
        raise error

    return fail


OUT_OF_MEMORY = {
    "PyTorch on this CPU": ("cpu", lambda: torch.empty(HUGE, dtype=torch.uint8)),
    "NumPy": ("cpu", lambda: np.ones(HUGE, np.uint8)),
    "PyTorch on a GPU": (
        "cuda",
        fail_with(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.50 GiB. GPU 0 has 1 MiB free.\nSee")),
    ),
    "the driver": ("cuda:1", fail_with(RuntimeError("CUDA error: out of memory\nCompile with `TORCH_USE_CUDA_DSA`"))),
    "cuBLAS": ("cuda", fail_with(RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate`"))),
    "cuDNN": ("cuda", fail_with(RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"))),
    "Apple's": (
        "mps",
        fail_with(RuntimeError("MPS backend out of memory (MPS allocated: 8.00 GB). Tried to allocate")),
    ),
}
FAILED = {
    "an illegal access": torch.AcceleratorError("CUDA error: an illegal memory access was encountered\nCUDA kernel"),
    "a lost device": RuntimeError("CUDA error: the launch timed out and was terminated"),
    "a card too old": RuntimeError("CUDA error: no kernel image is available for execution on the device"),
    "an error of cuDNN": RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"),
    "a format that macOS 13 lacks": RuntimeError("MPS BFloat16 is only supported on MacOS 14 or newer"),
    "a device of AMD": RuntimeError("HIP error: unspecified launch failure"),
}


@pytest.mark.parametrize("who", OUT_OF_MEMORY)
def test_full_memory_is_one_sentence_that_says_what_to_change(who):
    device, fill = OUT_OF_MEMORY[who]
    with pytest.raises(DeviceError) as caught, explain_failures(device):
        fill()
    said = str(caught.value)
    assert said.startswith(f"SAM 3 ran out of memory on device '{device}'")
    assert ("--device cpu" in said) == (device != "cpu")
    assert all(word in said for word in ("smaller image", "dtype", "max_batch"))
    assert "\n" not in said
    assert caught.value.exit_code == 2


def test_what_was_asked_for_is_told():
    with pytest.raises(DeviceError, match=r"\(2\.50 GiB more were asked for\)"), explain_failures("cuda"):
        OUT_OF_MEMORY["PyTorch on a GPU"][1]()


@pytest.mark.parametrize("what", FAILED)
def test_a_device_that_fails_is_one_sentence(what):
    with pytest.raises(DeviceError) as caught, explain_failures("cuda"):
        raise FAILED[what]
    assert str(caught.value).startswith("device 'cuda' failed while SAM 3 ran (")
    assert "--device cpu" in str(caught.value)
    assert "\n" not in str(caught.value)


NO_KERNEL = {
    "mps": NotImplementedError(
        "The operator 'aten::_upsample_bilinear2d_aa.out' is not currently implemented for the MPS device. If you want"
    ),
    "xpu": NotImplementedError("Could not run 'torchvision::roi_align' with arguments from the 'XPU' backend. This"),
}


@pytest.mark.parametrize("device", NO_KERNEL)
def test_an_operation_that_a_device_lacks_is_one_sentence(device):
    with pytest.raises(DeviceError) as caught, explain_failures(device):
        raise NO_KERNEL[device]
    said = str(caught.value)
    assert said.startswith(f"device '{device}' cannot run ")
    assert "::" in said.partition(", which SAM 3 needs; ")[0]
    assert ("PYTORCH_ENABLE_MPS_FALLBACK=1" in said) == (device == "mps")
    assert said.endswith("run with --device cpu")


@pytest.mark.parametrize(
    "error",
    [RuntimeError("Expected all tensors to be on the same device, cpu and cuda:0!"), ValueError("a"), KeyError(1)],
)
def test_a_defect_keeps_its_own_error(error):
    with pytest.raises(type(error)) as caught, explain_failures("cuda"):
        raise error
    assert caught.value is error


def test_what_filled_the_memory_is_let_go():
    held: list[torch.Tensor] = []

    def fill() -> None:
        large = torch.empty(3)
        held.append(large)
        raise torch.OutOfMemoryError("CUDA out of memory.")

    with pytest.raises(DeviceError) as caught, explain_failures("cpu"):
        fill()
    inner = caught.value.__cause__.__traceback__
    while inner.tb_next:
        inner = inner.tb_next
    assert "large" not in inner.tb_frame.f_locals


@pytest.mark.parametrize("part", ["vision encoder", "decoder", "tracker"])
def test_a_question_without_room_ends_in_one_sentence_and_the_next_is_answered(network, picture, part):
    sam3 = Sam3(network)
    module = network._tracker.model.mask_decoder if part == "tracker" else network.parts[part]
    prompt = VisualPrompt(((90.0, 120.0),)) if part == "tracker" else ConceptPrompt("red circle")

    def fill(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")

    handle = module.register_forward_pre_hook(fill)
    try:
        with pytest.raises(DeviceError, match="ran out of memory on device 'cpu'"):
            sam3.segment_batch([(picture, prompt)])
    finally:
        handle.remove()
    assert len(sam3.segment_batch([(picture, prompt)])[0])
