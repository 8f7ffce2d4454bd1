"""Ctrl-C, SIGTERM and SIGHUP, held back while something is brought to an end that must not stop half-way."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from threading import current_thread, main_thread
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else []))
"""The signals that ask a process to end. Windows has no SIGHUP."""


@contextmanager
def defer_interruptions() -> Iterator[None]:
    """Hold back the signals that a program handles itself until the block has ended, then let the first one through.

    Only the main thread is ever interrupted, so in another one this does nothing.

    Example:
        >>> done = []
        >>> try:
        ...     with defer_interruptions():
        ...         signal.raise_signal(signal.SIGINT)
        ...         done.append("saved")
        ... except KeyboardInterrupt:
        ...     print(done)
        ['saved']
    """
    if current_thread() is not main_thread():
        yield
        return
    held: list[int] = []
    handlers: dict[int, Any] = {}
    try:
        for number in SIGNALS:
            if callable(handler := signal.getsignal(number)):
                handlers[number] = handler
                signal.signal(number, lambda number, frame: held.append(number))
        yield
    finally:
        for handled, handler in handlers.items():
            signal.signal(handled, handler)
        if held:
            signal.raise_signal(held[0])
