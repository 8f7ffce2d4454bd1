"""Where a network runs: the device that a name means, its number format, and the memory that is free there."""

from collections.abc import Callable, Collection
from typing import Any

import torch

from sam3_tool.errors import DeviceError
from sam3_tool.system.memory import read_free_memory
from sam3_tool.system.processor import describe_processor

AUTO_ORDER = ("cuda", "mps")
"""What "auto" takes, the first that is there; else the CPU."""
SMALL_BYTES = 100 * 2**20
"""Bytes of weights below which a network gains nothing from 16 bits on a CPU or on a GPU of Apple's."""
_NAMES = "auto, cpu, cuda, cuda:1 …, mps or xpu"
_HINTS = {
    "gpu": "a GPU is cuda, mps or xpu to PyTorch",
    "meta": "tensors there hold no numbers",
    "npu": "it needs a package of its maker's, which this one does not load",
    "hpu": "it needs a package of its maker's, which this one does not load",
    "privateuseone": "no package has named it",
}
"""Types of devices of which PyTorch says less than this."""


def choose_device_type(available: Collection[str]) -> str:
    """Return the type of device that "auto" takes, of those that this machine has.

    >>> choose_device_type({"cpu", "mps"}), choose_device_type({"cpu", "mps", "cuda"}), choose_device_type({"cpu"})
    ('mps', 'cuda', 'cpu')
    """
    return next((kind for kind in AUTO_ORDER if kind in available), "cpu")


def list_device_types() -> list[str]:
    """Return the types of devices that this machine has and PyTorch can use, the CPU last.

    >>> list_device_types()[-1]
    'cpu'
    """
    tests: dict[str, Callable[[], bool]] = {
        "cuda": torch.cuda.is_available,
        "mps": torch.backends.mps.is_available,
        "xpu": torch.xpu.is_available,
    }
    return [*(kind for kind, is_available in tests.items() if is_available()), "cpu"]


def resolve_device(name: str) -> torch.device:
    """Return the device of this name; upper and lower case are the same.

    Args:
        name: "auto", or what PyTorch calls a device.

    Returns:
        A device that works, with its number where it has one.

    Raises:
        DeviceError: This machine has none of this name.

    >>> resolve_device("cpu:0"), resolve_device("CPU")
    (device(type='cpu'), device(type='cpu'))
    """
    here = list_device_types()
    asked = name.strip().lower()
    try:
        place = torch.device(choose_device_type(here) if asked == "auto" else asked)
        probe = torch.zeros(1, device=place)
        probe.tolist()  # "meta" makes tensors, but without numbers
    except (RuntimeError, AssertionError, ImportError, ValueError) as error:
        why = _describe_absence(asked, here) or _format_first_line(error)
        raise DeviceError(f"device {name!r} cannot be used here ({why}); try {' or '.join(here)}") from error
    return probe.device


def _describe_absence(asked: str, here: Collection[str]) -> str:
    """Say why there is no such device, where that is known; else ""."""
    if "," in asked:
        return "one network runs on one device; `annotate run --gpus 0,1` and `serve --gpus 0,1` start one on each GPU"
    kind, colon, number = asked.partition(":")
    if kind in _HINTS:
        return _HINTS[kind]
    if kind not in ("cpu", "cuda", "mps", "xpu") or (colon and not number.isdecimal()):
        return f"expected {_NAMES}"
    if kind == "cuda" and kind in here:
        count = torch.cuda.device_count()
        return f"there {'is' if count == 1 else 'are'} {count}: cuda:0{f' to cuda:{count - 1}' if count > 1 else ''}"
    if kind == "cuda" and not (torch.version.cuda or torch.version.hip):
        return "this PyTorch is built without CUDA"
    if kind not in here:
        makers = {"cuda": "GPU or no driver of NVIDIA's or AMD's", "mps": "GPU of Apple's", "xpu": "GPU of Intel's"}
        return f"PyTorch finds no {makers[kind]}"
    return ""


def _format_first_line(error: BaseException) -> str:
    lines = str(error).splitlines() or [type(error).__name__]
    return " ".join(lines[0].split())[:200]


def resolve_dtype(name: str, device: torch.device, weight_bytes: int) -> torch.dtype:
    """Return the number format of this name.

    Args:
        name: "float32", "bfloat16" or "float16"; "auto" is bfloat16 on GPUs, and for large networks on other devices
            that have units for it, else float32.
        device: Where the network will run.
        weight_bytes: The size of its files.

    Returns:
        The format. None is wider than float32, which GPUs of Apple's cannot go beyond.

    Raises:
        ValueError: SAM 3 does not run in this format.

    >>> resolve_dtype("auto", torch.device("cpu"), 2**20), resolve_dtype("float16", torch.device("mps"), 2**31)
    (torch.float32, torch.float16)
    """
    types = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
    if name == "auto":
        # a small one gains a quarter of an encode, and would answer otherwise on other processors (benchmarks/NOTES.md)
        is_large = device.type == "cuda" or weight_bytes > SMALL_BYTES
        return torch.bfloat16 if is_large and has_bfloat16_units(device) else torch.float32
    if name not in types:
        raise ValueError(f"`dtype` must be one of {', '.join(sorted([*types, 'auto']))}, got {name!r}")
    return types[name]


def has_bfloat16_units(device: torch.device) -> bool:
    """Tell whether this device has units for bfloat16; without them it is far slower than float32."""
    if device.type == "cuda":
        with torch.cuda.device(device):
            return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "mps":  # Metal knows the format since macOS 14
        return torch.backends.mps.is_available() and bool(torch.backends.mps.is_macos_or_newer(14, 0))
    if device.type != "cpu":
        return False
    can: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()  # which older versions of PyTorch lack
    return bool(can.get("avx512_bf16") or can.get("amx_bf16"))


def choose_memory_format(device: torch.device) -> torch.memory_format:
    """Return how convolutions lie in memory: channels last where that has been measured, else as they are."""
    return torch.channels_last if device.type in ("cpu", "cuda", "meta") else torch.preserve_format


def describe_device(device: torch.device) -> str:
    """Return what a device is called, e.g. 'NVIDIA H200'.

    >>> len(describe_device(torch.device("cpu"))) > 0
    True
    """
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return describe_processor() if device.type == "cpu" else device.type


def read_free_bytes(device: torch.device) -> int | None:
    """Return bytes that are free on a device, or in the host's memory for the CPU; None if nobody tells."""
    match device.type:
        case "cuda":
            return int(torch.cuda.mem_get_info(device)[0])
        case "mps":  # which has no memory of its own
            limit, taken = torch.mps.recommended_max_memory(), torch.mps.driver_allocated_memory()
            return max(0, int(limit) - int(taken))
        case "xpu":
            return int(torch.xpu.mem_get_info(device)[0])
        case "cpu":
            return read_free_memory()
        case _:
            return None


def release_cached_memory(device: torch.device) -> None:
    """Hand back what PyTorch keeps of a device's memory and nobody uses. Raises RuntimeError on a lost device."""
    if device.type in list_device_types() and device.type != "cpu":
        getattr(torch, device.type).empty_cache()
