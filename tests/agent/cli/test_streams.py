"""Streams that are full, closed or gone, and signals, are one line and a conventional exit code."""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from agent.cli.chat.loop import run_chat
from agent.cli.chat.session import Chat
from agent.cli.terminal.console import report_user_errors
from agent.cli.terminal.signals import TerminationError, raise_terminations
from agent.cli.terminal.streams import PrintingError
from agent.conversation.conversation import Conversation
from agent.core.errors import OutputError
from agent.planners.grammar.planner import GrammarPlanner
from agent.records.provenance import Provenance

PROGRAM = f'"{sys.executable}" -c "from agent.cli.main import main; main()"'


@pytest.mark.parametrize(
    ("command", "why"),
    [
        ("--version > /dev/full", "No space left on device"),
        ("--help > /dev/full", "No space left on device"),
        ("--version >&-", "Bad file descriptor"),
        ("--help | true", "Broken pipe"),
    ],
)
def test_what_cannot_be_printed_is_one_line_and_exit_code_1(command: str, why: str) -> None:
    there = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    words = ["bash", "-o", "pipefail", "-c", f"{PROGRAM} {command}"]
    done = subprocess.run(words, env=there, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"error: cannot write to standard output: {why}\n"


@pytest.mark.parametrize("stream", ["2> /dev/full", "2>&-", "2> >(true)"])
def test_a_complaint_that_nobody_can_read_keeps_its_exit_code(stream: str) -> None:
    there = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    words = ["bash", "-c", f"{PROGRAM} segment --no-such-option {stream}"]
    done = subprocess.run(words, env=there, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", "")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8:strict"])
def test_help_can_be_printed_in_any_encoding(encoding: str) -> None:
    there = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONIOENCODING": encoding}
    words = ["bash", "-c", f"{PROGRAM} segment --help"]
    done = subprocess.run(words, env=there, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"--export" in done.stdout


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)])
def test_a_signal_is_one_line_and_a_conventional_exit_code(number: int, code: int, capsys) -> None:
    with (
        pytest.raises(typer.Exit) as ended,
        raise_terminations(),
        report_user_errors(interrupted=lambda: "all is kept"),
    ):
        signal.raise_signal(number)
    assert ended.value.exit_code == code
    assert capsys.readouterr().err.endswith("; all is kept\n")


def test_a_second_signal_from_a_closing_terminal_breaks_nothing_off() -> None:
    with raise_terminations():
        with pytest.raises(TerminationError):
            signal.raise_signal(signal.SIGHUP)
        signal.raise_signal(signal.SIGHUP)
        signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_a_terminal_that_closes_is_told_as_that_and_not_as_what_cannot_be_printed_on_it(capsys) -> None:
    def lose_terminal() -> None:
        try:
            signal.raise_signal(signal.SIGHUP)
        finally:
            raise PrintingError("cannot write to standard output: Input/output error")

    with (
        pytest.raises(typer.Exit) as ended,
        raise_terminations(),
        report_user_errors(interrupted="the conversation is in talk.json"),
    ):
        lose_terminal()
    assert ended.value.exit_code == 129
    assert capsys.readouterr().err == "ended by SIGHUP; the conversation is in talk.json\n"


def test_a_signal_that_the_process_was_told_to_ignore_stays_ignored() -> None:
    former = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    try:
        with raise_terminations():
            signal.raise_signal(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, former)


@pytest.mark.parametrize(
    ("number", "code"), [(errno.ENOSPC, 1), (errno.EDQUOT, 1), (errno.EFBIG, 1), (errno.EIO, 1), (errno.EACCES, 2)]
)
def test_a_machine_without_room_is_a_failure_and_a_folder_that_may_not_be_written_is_bad_input(number, code) -> None:
    fault = OutputError("cannot write into out")
    fault.__cause__ = OSError(number, os.strerror(number))
    with pytest.raises(typer.Exit) as ended, report_user_errors():
        raise fault
    assert ended.value.exit_code == code


ENDS = [PrintingError("nobody reads"), TerminationError(signal.SIGTERM), KeyboardInterrupt()]


@pytest.mark.parametrize("error", ENDS)
def test_a_turn_that_was_answered_is_saved_whatever_ends_the_chat(error, kitchen, kitchen_sam3, tmp_path: Path) -> None:
    def fail(text: str) -> None:
        raise error

    made_by, talk = Provenance(planner="grammar", sam3="scripted"), tmp_path / "talk.json"
    here = Chat(GrammarPlanner(), kitchen_sam3, made_by, tmp_path / "out", fail, save_to=talk)
    with pytest.raises(type(error)):
        run_chat(here, Conversation.start(kitchen, "kitchen.png"), ["the red cups", "cup"])
    assert Conversation.open(talk).selected == (1, 2, 3)
    assert here.saved.describe() == f"the conversation is in {talk}"


def test_a_conversation_that_could_not_be_saved_is_not_said_to_be(kitchen, kitchen_sam3, tmp_path: Path) -> None:
    made_by = Provenance(planner="grammar", sam3="scripted")
    here = Chat(GrammarPlanner(), kitchen_sam3, made_by, tmp_path, print, save_to=tmp_path / "gone" / "talk.json")
    with pytest.raises(OutputError, match=r"cannot write .*talk\.json: No such file or directory"):
        run_chat(here, Conversation.start(kitchen, "kitchen.png"), [])
    assert here.saved.describe() == "nothing was saved"
