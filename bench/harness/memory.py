"""What this process has in memory: in use, resident, and at most during a piece of work. In MiB; Linux only."""

import ctypes
import gc
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

BLOCK = 64
"""Bytes: about what a small object of Python takes up."""
_SELF = Path("/proc/self")


class _MallocInfo(ctypes.Structure):
    """glibc's `struct mallinfo2`, in bytes; the two that are read here have names."""

    _fields_ = [
        *((f"unread{number}", ctypes.c_size_t) for number in range(4)),
        ("mapped", ctypes.c_size_t),
        *((f"unread{number}", ctypes.c_size_t) for number in range(4, 6)),
        ("used", ctypes.c_size_t),
        *((f"unread{number}", ctypes.c_size_t) for number in range(6, 8)),
    ]


def read_allocated_mib() -> float:
    """What was asked for and not given back; what is resident, without glibc.

    What is resident has besides the gaps that threads leave in the allocator's memory, and they go on growing for
    minutes where nothing is kept.
    """
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "mallinfo2"):
        return read_resident_mib()
    libc.mallinfo2.restype = _MallocInfo
    allocated = libc.mallinfo2()
    return float(allocated.used + allocated.mapped + BLOCK * sys.getallocatedblocks()) / 2**20


def read_resident_mib() -> float:
    return _read_status_mib("VmRSS")


def measure_peak_mib(work: Callable[[], object]) -> float | None:
    """The most that was resident during `work` beside what was before it; None where the system does not tell."""
    _trim_allocator()
    try:
        (_SELF / "clear_refs").write_text("5", encoding="utf-8")  # from now on VmHWM is the most since now
    except OSError:
        work()
        return None
    before = read_resident_mib()
    work()
    return _read_status_mib("VmHWM") - before


def _trim_allocator() -> None:
    """What the allocator keeps for later goes back to the system, or no work would seem to need memory."""
    gc.collect()
    with suppress(AttributeError):  # other C libraries have no such call
        ctypes.CDLL(None).malloc_trim(0)


def _read_status_mib(key: str) -> float:
    lines = (_SELF / "status").read_text(encoding="utf-8").splitlines()
    return int(next(line for line in lines if line.startswith(f"{key}:")).split()[1]) / 1024
