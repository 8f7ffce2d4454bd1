"""How much memory this process can still take from the host."""

import os
from contextlib import suppress
from pathlib import Path

KIB = 2**10
_CONTROL_GROUP = Path("/sys/fs/cgroup")


def read_free_memory() -> int | None:
    """Return bytes that this process can still take: of the host, within its limits; None if nobody tells.

    Counted are memory that is free or can be freed, and swap; a limit of the shell (`ulimit -v`) and of the container.

    >>> free = read_free_memory()
    >>> free is None or free > 0
    True
    """
    found = (_read_available_memory(), _read_room_of_process(), _read_room_of_container())
    return min((free for free in found if free is not None), default=None)


def _read_available_memory() -> int | None:
    with suppress(OSError, ValueError, LookupError):
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        sizes = {name: int(rest.split()[0]) for name, _, rest in (line.partition(":") for line in lines)}
        return KIB * (sizes["MemAvailable"] + sizes.get("SwapFree", 0))
    return None


def _read_room_of_process() -> int | None:
    """Return what `ulimit -v` leaves; None without such a limit."""
    with suppress(ImportError, OSError, ValueError, LookupError):
        import resource

        limit, _ = resource.getrlimit(resource.RLIMIT_AS)
        if limit != resource.RLIM_INFINITY:
            pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
            return max(0, limit - pages * os.sysconf("SC_PAGE_SIZE"))
    return None


def _read_room_of_container(group: Path = _CONTROL_GROUP) -> int | None:
    """Return what the control group (version 2) leaves, whose files in memory can be let go; None without a limit."""
    with suppress(OSError, ValueError, LookupError):
        limit = int((group / "memory.max").read_text(encoding="ascii"))  # "max" without one
        taken = int((group / "memory.current").read_text(encoding="ascii"))
        lines = (group / "memory.stat").read_text(encoding="ascii").splitlines()
        files = dict(line.split() for line in lines).get("file", "0")
        return max(0, limit - taken + int(files))
    return None
