"""What every command says to a person: one line for bad input, progress while it works, exit codes."""

import errno
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

import typer

from agent.cli.terminal.signals import describe_interruption, find_termination, get_exit_code
from agent.cli.terminal.streams import PrintingError, discard_output, print_line, print_remark
from agent.core.errors import UsageError
from sam3_tool.errors import UserError, mask_passwords
from sam3_tool.system.file_names import escape_unprintable

if TYPE_CHECKING:
    from agent.core.episode import Episode

FAILURE = 1
MACHINE_ERRNOS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})
"""No room, or a broken disk: a failure that is nobody's bad input."""


@contextmanager
def report_user_errors(*, interrupted: str | Callable[[], str] = "nothing was written") -> Iterator[None]:
    """Turn a UserError, Ctrl-C and SIGTERM into one line on stderr and an exit code.

    A defect keeps its traceback (code 1).

    `interrupted`: what an interruption leaves behind; a function is asked once it is known.
    """
    try:
        yield
    except UserError as error:
        if isinstance(error, PrintingError):
            discard_output()
            if (ended := find_termination(error)) is not None:  # that is why nobody reads any more
                raise _report_interruption(ended, interrupted) from None
        print_remark(f"error: {to_one_line(str(error))}")
        raise typer.Exit(_get_exit_code(error)) from error
    except KeyboardInterrupt as error:
        raise _report_interruption(error, interrupted) from None


def _report_interruption(interruption: KeyboardInterrupt, interrupted: str | Callable[[], str]) -> typer.Exit:
    left = interrupted if isinstance(interrupted, str) else interrupted()
    print_remark(f"{describe_interruption(interruption)}; {to_one_line(left)}")
    return typer.Exit(get_exit_code(interruption))


def _get_exit_code(error: UserError) -> int:
    """That of the error's kind; but what the machine could not do is a failure, whatever said so."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno in MACHINE_ERRNOS:
            return FAILURE
        cause = cause.__cause__
    return error.exit_code


@contextmanager
def require_extra(extra: str, *libraries: str) -> Iterator[None]:
    """Says how to install the optional libraries of this package where one of them is missing. Raises UsageError."""
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name not in libraries:
            raise
        message = f"this needs {error.name}, which is not installed; install it with: uv sync --inexact --extra {extra}"
        raise UsageError(message) from error


def to_one_line(text: str) -> str:
    """As one line that cannot steer a terminal and shows no password of an address, whoever wrote it."""
    return escape_unprintable(mask_passwords(" ".join(text.split())))


def print_notes(notes: Iterable[str]) -> None:
    """Says on stderr what had to be decided, in one line each."""
    for note in notes:
        print_remark(f"note: {to_one_line(note)}")


def format_latest_step(episode: "Episode") -> str:
    """E.g. 'step 2: relate: …'."""
    step = episode.steps[-1]
    return f"step {len(episode.steps)}: {step.decision.tool}: {to_one_line(step.observation.text)}"


@dataclass(frozen=True)
class Progress:
    print_line: Callable[[str], Any]
    """Shows a line that stays."""
    show_status: Callable[[str], Any]
    """Shows what is being done while it lasts."""
    is_visible: bool = True
    """Whether anybody looks."""

    def print_note(self, text: str) -> None:
        """Say on stderr what had to be decided, in one line that stays."""
        line = f"note: {to_one_line(text)}"
        if self.is_visible:
            self.print_line(line)
        else:
            print_remark(line)


@contextmanager
def show_progress() -> Iterator[Progress]:
    """Progress on stderr, if that is a terminal."""
    from rich.console import Console  # not for --help: it takes a while
    from rich.markup import escape

    console = Console(stderr=True)
    if not console.is_terminal:
        yield Progress(print_line=lambda text: None, show_status=lambda text: None, is_visible=False)
        return
    with console.status("") as status:
        yield Progress(
            print_line=lambda text: console.print(escape(text), highlight=False),
            show_status=lambda text: status.update(escape(text)),
        )


UNFOLDED_WIDTH = 10_000
"""Columns of a table that no terminal shows: nothing is folded, so that programs can search it line by line."""


def print_table(rows: Sequence[tuple[str, ...]]) -> None:
    """Print rows under headings: the first cell of a row is its heading, shown once for all rows in a row that have it.

    Columns are aligned over all headings. A terminal folds the last column; a pipe gets one line for each row.
    """
    from rich.console import Console
    from rich.table import Table

    widths = [max(map(len, column)) for column in zip(*rows, strict=True)][1:-1]
    console = Console(highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console.width = UNFOLDED_WIDTH
    for heading, group in groupby(rows, key=lambda row: row[0]):
        table = Table.grid(padding=(0, 2, 0, 0), pad_edge=True)
        for width in widths:
            table.add_column(min_width=width, no_wrap=True)
        table.add_column(overflow="fold")
        for row in group:
            table.add_row(*row[1:])
        with console.capture() as captured:
            console.print(table)
        lines = [f"  {line.rstrip()}" for line in captured.get().splitlines()]
        print_line("\n".join([heading, *lines]))
