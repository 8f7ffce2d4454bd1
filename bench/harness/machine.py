"""The machine: its name, and the most that it can do, measured in the same run as what is compared with it."""

import platform
from pathlib import Path

import torch

from bench.harness.timing import measure_seconds

_FEATURES = (("amx_bf16", "AMX"), ("avx512_bf16", "AVX-512 bf16"), ("avx512f", "AVX-512"), ("avx2", "AVX2"))


def describe_device(device: torch.device) -> str:
    """Return the device in words, e.g. 'NVIDIA H200', 'AMD EPYC, AVX-512 bf16, 1 thread'."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines() if Path("/proc/cpuinfo").exists() else []
    fields = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    instructions = next((name for flag, name in _FEATURES if flag in fields.get("flags", "").split()), "")
    threads = torch.get_num_threads()
    words = (
        fields.get("model name", platform.machine()),
        instructions,
        f"{threads} thread{'s' if threads > 1 else ''}",
    )
    return ", ".join(word for word in words if word)


def measure_matmul_rate(device: torch.device, dtype: torch.dtype) -> float:
    """Return the FLOP/s of a large matrix product, the best of five; a multiplication and an addition are two."""
    side = 8192 if device.type == "cuda" else 2048
    left, right = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    return 2 * side**3 / min(measure_seconds(lambda: left @ right, device) for _ in range(5))


def measure_copy_rate(device: torch.device) -> float:
    """Return the bytes/s of a large copy, read and written, the best of five."""
    source = torch.ones(2**30 if device.type == "cuda" else 2**28, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return 2 * source.nbytes / min(measure_seconds(lambda: target.copy_(source), device) for _ in range(5))
