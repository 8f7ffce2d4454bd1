"""What a slow tool says while it works, and the work that it keeps when it is interrupted."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

_LISTENER: ContextVar[Callable[[str], object] | None] = ContextVar("listener", default=None)


@contextmanager
def listen_to_progress(listener: Callable[[str], object]) -> Iterator[None]:
    """Hear what tools say while they work. `listener`: it is given one line at a time.

    >>> said = []
    >>> with listen_to_progress(said.append):
    ...     report_progress("frame 3 of 8")
    >>> said
    ['frame 3 of 8']
    """
    token = _LISTENER.set(listener)
    try:
        yield
    finally:
        _LISTENER.reset(token)


def report_progress(text: str) -> None:
    """Say in one line how far the work has come, to whoever listens."""
    listener = _LISTENER.get()
    if listener is not None:
        listener(text)


@dataclass
class KeptWork:
    """Whether a tool was interrupted and gave what it had. It changes as that happens."""

    interruption: KeyboardInterrupt | None = None


_KEPT: ContextVar[KeptWork | None] = ContextVar("kept", default=None)


@contextmanager
def keep_interrupted_work() -> Iterator[KeptWork]:
    """Let a tool that is interrupted by Ctrl-C give what it has, instead of an end without a result.

    Nobody is asked for that by default: a program that calls `run` gets its KeyboardInterrupt. Whoever asks for it has
    to end as was wanted once the result is safe.

    >>> with keep_interrupted_work() as kept:
    ...     note_interruption(KeyboardInterrupt())
    >>> kept.interruption
    KeyboardInterrupt()
    """
    kept = KeptWork()
    token = _KEPT.set(kept)
    try:
        yield kept
    finally:
        _KEPT.reset(token)


def note_interruption(interruption: KeyboardInterrupt) -> None:
    """Note that a tool was interrupted and goes on to give what it has. Raises it where nobody asked for that."""
    kept = _KEPT.get()
    if kept is None:
        raise interruption
    kept.interruption = interruption
