"""The end of the program: at once, when everything that cleans up has run.

What Python does after that takes a million objects apart, for up to a second of a processor. And a daemon thread that
loads a model meanwhile is stopped inside of PyTorch, whose C++ runtime aborts the process: exit code 134, "terminate
called without an active exception".
"""

import atexit
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_codes: list[int] = []


@contextmanager
def end_at_once() -> Iterator[None]:
    """Let the process end with the exit code of a SystemExit that is raised inside, whatever its threads do then."""
    try:
        yield
    except SystemExit as ended:
        if ended.code is None or isinstance(ended.code, int):  # Python itself prints a text, and later than here
            _codes.append(ended.code or 0)
        raise


@atexit.register  # at import: what is registered later runs earlier
def _leave() -> None:
    if not _codes:
        return
    with suppress(OSError, ValueError):  # Python itself complains of what cannot be written
        for stream in filter(None, (sys.stdout, sys.stderr)):
            stream.flush()
        os._exit(_codes[0])
