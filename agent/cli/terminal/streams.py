"""Standard streams that may be closed, full, gone, or in an encoding that is not UTF-8."""

import json
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BufferedWriter, FileIO, TextIOWrapper
from typing import Any

import typer

from agent.core.errors import InterruptedOutputError, UsageError


class PrintingError(InterruptedOutputError):
    """What was asked for cannot be printed: nobody reads it, or there is no room for it."""


def read_stdin() -> bytes:
    """Return all that is on standard input. Raises UsageError where that is a terminal."""
    if sys.stdin.isatty():
        raise UsageError("standard input is a terminal; pipe an image or a list of paths into it")
    return sys.stdin.buffer.read()


def print_line(text: str) -> None:
    """Print a line on stdout at once. Raises PrintingError."""
    with _raise_printing_errors():
        typer.echo(text)


def print_json(text: str) -> None:
    r"""Print JSON on stdout so that it is JSON in any encoding. Raises PrintingError.

    Letters beyond ASCII can only stand in its strings, where each can be written as \uXXXX.
    """
    if (getattr(sys.stdout, "encoding", None) or "utf-8").lower().replace("_", "-") not in ("utf-8", "utf8"):
        text = re.sub(r"[^\x00-\x7f]", lambda letter: json.dumps(letter[0])[1:-1], text)
    print_line(text)


def print_remark(text: str) -> None:
    """Print a line on stderr, if anybody is there to read it."""
    with suppress(OSError):
        typer.echo(text, err=True)


@contextmanager
def prepare_streams() -> Iterator[None]:
    """Make the standard streams of this process safe to use.

    In the block, and at its end, whatever cannot be printed on stdout raises PrintingError, whoever prints it. What
    cannot be printed on stderr is lost: it must not change how the program ends.
    """
    _open_closed_streams()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            # a file name may hold bytes that are no text; it must not break the line that tells about the file
            stream.reconfigure(errors="backslashreplace")
    original, original_stderr = sys.stdout, sys.stderr
    if isinstance(original, TextIOWrapper) and original is sys.__stdout__:
        sys.stdout = _guard_stream(original, _GuardedOutput)
    if isinstance(original_stderr, TextIOWrapper) and original_stderr is sys.__stderr__:
        sys.stderr = _guard_stream(original_stderr, _OptionalOutput)
    try:
        yield
        sys.stdout.flush()
    except SystemExit:  # typer ends every command with it
        sys.stdout.flush()
        raise
    finally:
        sys.stderr.flush()
        sys.stdout, sys.stderr = original, original_stderr


class _GuardedOutput(FileIO):
    """Stdout of this process; it can be told from every other file by the error that it raises."""

    def write(self, content: Any) -> Any:
        with _raise_printing_errors():
            return super().write(content)


class _OptionalOutput(FileIO):
    """Stderr of this process: what nobody can read is taken for written."""

    def write(self, content: Any) -> Any:
        try:
            return super().write(content)
        except OSError:
            return memoryview(content).nbytes


def _guard_stream(original: TextIOWrapper, raw_type: type[FileIO]) -> TextIOWrapper:
    output = BufferedWriter(raw_type(original.fileno(), "w", closefd=False))
    return TextIOWrapper(output, original.encoding, "backslashreplace", line_buffering=original.line_buffering)


@contextmanager
def _raise_printing_errors() -> Iterator[None]:
    try:
        yield
    except PrintingError:
        raise
    except OSError as error:
        raise PrintingError(f"cannot write to standard output: {error.strerror or error}") from error


def discard_output() -> None:
    """Let nothing more be printed on stdout, so that Python does not complain about it when it ends."""
    with suppress(OSError, ValueError):
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, sys.stdout.fileno())
        os.close(nothing)


def _open_closed_streams() -> None:
    """Give a number to each stream that was closed, lest the next file that is opened be taken for it."""
    if sys.stdin is None:
        sys.stdin = open(_open_null(0, os.O_RDONLY))  # noqa: SIM115 - it stays open
    if sys.stdout is None:
        # opened for reading only: writing there fails, as it would if the stream had stayed closed
        sys.stdout = open(_open_null(1, os.O_RDONLY), "w", closefd=False)  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(_open_null(2, os.O_WRONLY), "w", closefd=False)  # noqa: SIM115


def _open_null(number: int, flags: int) -> int:
    descriptor = os.open(os.devnull, flags)
    if descriptor != number:
        os.dup2(descriptor, number)
        os.close(descriptor)
    return number
