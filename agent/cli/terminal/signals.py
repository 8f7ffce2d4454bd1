"""SIGTERM and SIGHUP end a command as Ctrl-C does: what was found is kept, nothing half-written is left."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from sam3_tool.system.interruptions import SIGNALS

CONVENTIONAL_OFFSET = 128
"""A shell adds a signal's number to this for the exit code of a process that the signal ended."""


class TerminationError(KeyboardInterrupt):
    """Somebody else than the person at the keyboard ends the program: it says so, and does not go on."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


@contextmanager
def raise_terminations() -> Iterator[None]:
    """Let SIGTERM and SIGHUP raise TerminationError, once; what the process was told to ignore stays ignored."""
    numbers = [number for number in SIGNALS if number != signal.SIGINT and signal.getsignal(number) is signal.SIG_DFL]

    def raise_once(number: int, frame: FrameType | None) -> None:
        # a terminal that closes sends SIGHUP twice: the second must not break off what the first one began to save
        for handled in numbers:
            signal.signal(handled, signal.SIG_IGN)
        raise TerminationError(number)

    for number in numbers:
        signal.signal(number, raise_once)
    try:
        yield
    finally:
        for number in numbers:
            signal.signal(number, signal.SIG_DFL)


def find_termination(error: BaseException) -> TerminationError | None:
    """Return the signal that was ending the program when this error came; None if there was none.

    A terminal that closes sends SIGHUP, and then nothing can be printed on it.
    """
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, TerminationError):
        cause = cause.__cause__ or cause.__context__
    return cause


def describe_interruption(interruption: KeyboardInterrupt) -> str:
    """Say in a few words what ended the program.

    >>> describe_interruption(TerminationError(15)), describe_interruption(KeyboardInterrupt())
    ('ended by SIGTERM', 'interrupted')
    """
    return f"ended by {interruption}" if isinstance(interruption, TerminationError) else "interrupted"


def get_exit_code(interruption: KeyboardInterrupt) -> int:
    """The exit code of a program that this ended.

    >>> get_exit_code(TerminationError(15)), get_exit_code(KeyboardInterrupt())
    (143, 130)
    """
    number = interruption.number if isinstance(interruption, TerminationError) else signal.SIGINT
    return CONVENTIONAL_OFFSET + number
