"""The installed program in the moment before it can say anything, in a process of its own."""

import signal
import subprocess
import sys
from importlib.metadata import entry_points

PROGRAM = """
import os, signal, sys

class Interrupter:
    '''Presses Ctrl-C when a module is looked for.'''

    def find_spec(self, name, *_):
        if name == "typer":
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupter())
if "ignored" in sys.argv:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
from agent.cli.start import start_program
sys.argv = ["sam3-agent", "--version"]
start_program()
"""


def run_interrupted(*words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([sys.executable, "-c", PROGRAM, *words], capture_output=True, text=True)


def test_an_interruption_during_the_imports_ends_the_program_without_a_traceback() -> None:
    done = run_interrupted()
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, "", "")


def test_an_interruption_that_a_shell_has_ignored_stays_ignored() -> None:
    done = run_interrupted("ignored")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("sam3-agent ")


def test_the_installed_command_starts_here() -> None:
    (command,) = entry_points(group="console_scripts", name="sam3-agent")
    assert command.value == "agent.cli.start:start_program"
