"""Memory of this process in MiB: allocated, resident, and at most during a piece of work. Linux only."""

import ctypes
import gc
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

BLOCK = 64
"""Bytes that a small object of Python takes up, about."""
_SELF = Path("/proc/self")


class _MallocInfo(ctypes.Structure):
    """glibc's `struct mallinfo2`, in bytes; only the two fields that are read have names."""

    _fields_ = [
        *((f"unread{number}", ctypes.c_size_t) for number in range(4)),
        ("mapped", ctypes.c_size_t),
        *((f"unread{number}", ctypes.c_size_t) for number in range(4, 6)),
        ("used", ctypes.c_size_t),
        *((f"unread{number}", ctypes.c_size_t) for number in range(6, 8)),
    ]


def read_allocated_mib() -> float:
    """Return the memory that is allocated and not freed; without glibc, the memory that is resident.

    Resident memory also has the gaps that threads leave in the allocator's arenas. Those go on growing for minutes
    even if nothing is kept.
    """
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "mallinfo2"):
        return read_resident_mib()
    libc.mallinfo2.restype = _MallocInfo
    allocated = libc.mallinfo2()
    return float(allocated.used + allocated.mapped + BLOCK * sys.getallocatedblocks()) / 2**20


def read_resident_mib() -> float:
    """Return the memory that is resident."""
    return _read_status_mib("VmRSS")


def read_peak_mib() -> float:
    """Return the most memory that was resident since this process began."""
    return _read_status_mib("VmHWM")


def measure_peak_mib(work: Callable[[], object]) -> float | None:
    """Return the peak of resident memory during `work`, less what was there before; None if the system hides it."""
    _trim_allocator()
    try:
        (_SELF / "clear_refs").write_text("5", encoding="utf-8")  # resets VmHWM, see proc(5)
    except OSError:
        work()
        return None
    before = read_resident_mib()
    work()
    return _read_status_mib("VmHWM") - before


def _trim_allocator() -> None:
    """Give what the allocator keeps for later back to the system, or no work would seem to need memory."""
    gc.collect()
    with suppress(AttributeError):  # other C libraries have no such call
        ctypes.CDLL(None).malloc_trim(0)


def _read_status_mib(key: str) -> float:
    lines = (_SELF / "status").read_text(encoding="utf-8").splitlines()
    return int(next(line for line in lines if line.startswith(f"{key}:")).split()[1]) / 1024
