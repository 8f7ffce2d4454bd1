"""What compiling is refused for.

That it changes no mask is measured where there is time for it (benchmarks/NOTES.md).
"""

import pytest
import torch

from sam3_tool import Sam3
from sam3_tool.backends.transformers.files.checkpoint import locate_checkpoint
from sam3_tool.backends.transformers.files.weights import read_detector
from sam3_tool.backends.transformers.hardware.compile import compile_parts
from sam3_tool.errors import DeviceError

pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")  # of PyTorch's compiler, on its own


def test_a_mode_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match="must be one of default, reduce-overhead, max-autotune, got 'fast'"):
        Sam3.load("tiny", device="cpu", compile="fast")


def test_without_a_compiler_the_message_says_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("CXX", "g++-none")
    with pytest.raises(DeviceError, match=r"needs a C\+\+ compiler, and g\+\+-none and clang\+\+ were not found"):
        Sam3.load("tiny", device="cpu", compile="default")


@pytest.mark.parametrize(("device", "compiled"), [("cpu", False), ("meta", True)])
def test_what_a_phrase_goes_through_is_compiled_on_devices_other_than_a_cpu(device, compiled):
    model = read_detector(locate_checkpoint("tiny"), torch.float32)[0].to(device)
    compile_parts(model, "default")
    assert model.vision_encoder._compiled_call_impl is not None
    assert (model.detr_encoder._compiled_call_impl is not None) == compiled


def test_answers_of_a_compiled_network_are_kept_apart():
    assert Sam3.load("tiny", device="cpu", dtype="float32", compile="default").runs_on == "cpu float32 compiled"
