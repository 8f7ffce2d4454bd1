"""What a device says when it cannot go on, as one sentence for a person."""

import re
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import numpy as np
import torch

from sam3_tool.backends.transformers.hardware.devices import release_cached_memory
from sam3_tool.errors import DeviceError

_NO_MEMORY = re.compile(
    r"out of memory|not enough memory|can't allocate memory|unable to allocate|STATUS_ALLOC_FAILED"
    r"|STATUS_NOT_INITIALIZED|std::bad_alloc",
    re.IGNORECASE,
)
"""What PyTorch's allocators, cuBLAS, cuDNN, C++ and NumPy say. cuBLAS fails to begin where it finds no memory."""
_LOST = re.compile(
    r"(CUDA|HIP|cuDNN|cuBLAS|cuFFT|NVRTC|MPS|XPU)[\w ]*error|(CUDA|HIP) driver|CU(DNN|BLAS|FFT)_STATUS"
    r"|only supported on MacOS|device-side assert|no kernel image|NVIDIA driver|NVML",
    re.IGNORECASE,
)
_NO_KERNEL = re.compile(
    r"operator '([\w:.]+)' is not currently (?:implemented|supported)|Could not run '([\w:.]+)' with arguments"
)
"""What PyTorch says of an operation that a device has no code for."""
_SIZE = re.compile(r"[Tt]ried to allocate ([\d.]+ \w+)")


@contextmanager
def explain_failures(device: torch.device | str) -> Iterator[None]:
    """Raise what a device cannot do as a `DeviceError`, and hand back what the attempt had taken of its memory.

    Every other error is a defect and passes.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        message = _describe_failure(error, torch.device(device))
        if message is None:
            raise
        traceback.clear_frames(error.__traceback__)  # whose variables hold the tensors that filled the memory
        with suppress(RuntimeError):  # a lost device refuses this, too
            release_cached_memory(torch.device(device))
        raise DeviceError(message) from error


def check_numbers(values: np.ndarray, network: str) -> None:
    """Do nothing with what a network has computed, unless it is no numbers.

    Args:
        values: Logits or probabilities, float32, of any shape.
        network: What has computed them, for the message.

    Raises:
        DeviceError: Some of them are NaN: whoever compared them with a threshold would find nothing, and say so.

    >>> check_numbers(np.array([0.5, -np.inf]), "SAM 3")
    """
    if np.isnan(values).any():
        raise DeviceError(
            f"{network} computed what is no number (NaN): its weights are damaged, so download them again, or their"
            " number format is too narrow for this device, so load them in Python with dtype='float32' (`Sam3.load`)"
        )


def _describe_failure(error: BaseException, device: torch.device) -> str | None:
    """Say what happened and what to do; None for what is no failure of a device."""
    said = str(error)
    if isinstance(error, MemoryError | torch.OutOfMemoryError) or _NO_MEMORY.search(said):
        size = _SIZE.search(said)
        more = f" ({size[1]} more were asked for)" if size else ""
        return f"SAM 3 ran out of memory on device {str(device)!r}{more}; {_advise(device)}"
    if device.type != "cpu" and (missing := _NO_KERNEL.search(said)):
        operation = missing[1] or missing[2]
        return f"device {str(device)!r} cannot run {operation}, which SAM 3 needs; {_advise_other_device(device)}"
    if isinstance(error, torch.AcceleratorError) or (device.type != "cpu" and _LOST.search(said)):
        first = " ".join(said.split("\n", 1)[0].split())[:200] or type(error).__name__
        return f"device {str(device)!r} failed while SAM 3 ran ({first}); start again, or run with --device cpu"
    return None


def _advise_other_device(device: torch.device) -> str:
    if device.type == "mps":
        return "set PYTORCH_ENABLE_MPS_FALLBACK=1 before Python starts, or run with --device cpu"
    return "install a later PyTorch, or run with --device cpu"


def _advise(device: torch.device) -> str:
    if device.type == "cpu":
        return (
            "end other programs, give a smaller image, or load SAM 3 in Python with dtype='bfloat16' and max_batch=1 "
            "(`Sam3.load`)"
        )
    return (
        "end what else runs there, run with --device cpu, give a smaller image, or load SAM 3 in Python with "
        "dtype='bfloat16' and max_batch=1 (`Sam3.load`) or with a smaller cache_bytes (`Sam3`)"
    )
