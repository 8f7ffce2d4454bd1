"""The end of the program: at once, when everything that cleans up has run.

What Python does after that takes a million objects apart, for up to a second of a processor. And a daemon thread that
loads a model meanwhile is stopped inside of PyTorch, whose C++ runtime aborts the process: exit code 134, "terminate
called without an active exception".
"""

import atexit
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


@contextmanager
def end_at_once() -> Iterator[None]:
    """End the process with the exit code of a SystemExit that is raised inside, whatever its threads do then.

    A SystemExit with a text ends as usual, for Python itself prints the text.
    """
    try:
        yield
    except SystemExit as ended:
        if ended.code is None or isinstance(ended.code, int):
            _leave(ended.code or 0)
        raise


def _leave(code: int) -> None:
    """Do what Python does first at its end, in its order. Returns where the last words cannot be written."""
    threading._shutdown()  # type: ignore[attr-defined]  # waits for threads that are no daemons
    atexit._run_exitfuncs()
    with suppress(OSError, ValueError):  # Python itself complains of what cannot be written
        for stream in filter(None, (sys.stdout, sys.stderr)):
            stream.flush()
        os._exit(code)
