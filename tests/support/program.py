"""`sam3-agent` as a process of its own, forked from one that has its imports done (`fork_server`).

A fork takes a tenth of a second, a real start eight seconds of a processor. Real starts, with `subprocess`, are for
what a fork cannot show: what is imported when, and what Python or a library reads before the program begins.
"""

import atexit
import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from subprocess import DEVNULL, PIPE
from typing import IO, Any

from tests.support import fork_server

ROOT = Path(__file__).parents[2]
READ_AT_START = (
    *("CUDA_", "GRADIO_", "HF_", "HOME", "LANG", "LC_"),
    *("OMP_", "PYTHON", "TORCH", "TRANSFORMERS_", "XDG_CACHE_"),
)
"""How the names of variables begin that Python or a library reads before the program begins."""
READ_BY_FORKS = ("PYTHONIOENCODING", "PYTHONPATH")
SET_BY_LIBRARIES = (
    *("GRADIO_ANALYTICS_ENABLED", "HF_HUB_DISABLE_TELEMETRY", "TORCH_CPP_LOG_LEVEL", "TORCHINDUCTOR_CACHE_DIR"),
)
"""What the demo, gradio, ultralytics and torch set in the process of the tests, where an earlier test needed them."""


@dataclass
class Program:
    """A running program: as much of `subprocess.Popen` as tests need."""

    channel: socket.socket
    """To its keeper, who says its number, and at its end its exit code."""
    stdin: IO[Any] | None
    stdout: IO[Any] | None
    stderr: IO[Any] | None
    returncode: int | None = None
    pid: int = field(init=False)

    def __post_init__(self) -> None:
        self.pid = self._receive_number()

    def _receive_number(self) -> int:
        told = self.channel.recv(4, socket.MSG_WAITALL)
        assert len(told) == 4, "the fork server is gone"
        return int.from_bytes(told, "little", signed=True)

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit code, or the number of the signal that ended it, below zero."""
        if self.returncode is None:
            if not select.select([self.channel], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired("sam3-agent", timeout or 0)
            self.returncode = self._receive_number()
            self.channel.close()
        return self.returncode

    def poll(self) -> int | None:
        with suppress(subprocess.TimeoutExpired):
            self.wait(timeout=0)
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def communicate(self, said: str | bytes | None = None) -> tuple[Any, Any]:
        """Write `said` to its stdin, and return what it prints on stdout and stderr until its end."""
        with ThreadPoolExecutor() as pool:
            printed = [stream and pool.submit(stream.read) for stream in (self.stdout, self.stderr)]
            if self.stdin is not None:
                with suppress(BrokenPipeError), self.stdin as stdin:
                    if said is not None:
                        stdin.write(said)
            stdout, stderr = (text and text.result() for text in printed)
        self.close()
        return stdout, stderr

    def close(self) -> None:
        """Close our ends of its streams, and wait for its end."""
        for stream in (self.stdin, self.stdout, self.stderr):
            if stream is not None:
                stream.close()
        self.wait()


def start_program(
    *words: object,
    stdin: int | IO[Any] = DEVNULL,
    stdout: int | IO[Any] = PIPE,
    stderr: int | IO[Any] = PIPE,
    text: bool = True,
    cwd: str | Path = ".",
    env: Mapping[str, str] | None = None,
    terminal: bool = False,
    python: str | Path | None = None,
) -> Program:
    """Start `sam3-agent` with these words. The options are those of `subprocess.Popen`.

    Args:
        words: Its arguments.
        stdin: `PIPE`, `DEVNULL`, a file or its descriptor; so are the next two.
        stdout: Where it prints to.
        stderr: Where it complains.
        text: Whether our ends of its pipes take and give text in UTF-8, not bytes.
        cwd: Its current folder.
        env: Its environment; left out, that of the tests.
        terminal: Whether it leads a session of its own, whose terminal its stdin is.
        python: Of another environment that has the program installed; left out, the program is that of this repository.
    """
    environment = dict(os.environ if env is None else env)
    requests, former = open_fork_server(*([str(python), tuple(sorted(environment.items()))] if python else []))
    changed = {name for name in {*environment, *former} if environment.get(name) != former.get(name)}
    heeded = {*READ_BY_FORKS, *SET_BY_LIBRARIES}
    ignored = [name for name in changed - heeded if name.startswith(READ_AT_START)]
    assert not ignored, f"a fork would not heed {ignored}; start the installed program with subprocess"
    ends = [_open_stream(*stream, text) for stream in ((stdin, "r"), (stdout, "w"), (stderr, "w"))]
    ours, theirs = socket.socketpair()
    with theirs:
        command = str(words[0] if words else "-").encode()[: fork_server.LONGEST_COMMAND]
        socket.send_fds(requests, [command], [*(end for end, _ in ends), theirs.fileno()])
    asked = {"words": [*map(str, words)], "cwd": str(Path(cwd).resolve())}
    asked |= {"environment": environment, "terminal": terminal}
    ours.sendall(json.dumps(asked).encode() + b"\n")
    for (end, pipe), given in zip(ends, (stdin, stdout, stderr), strict=True):
        if pipe is not None or given == DEVNULL:
            os.close(end)
    return Program(ours, *(pipe for _, pipe in ends))


def run_program(*words: object, said: str | bytes | None = None, **options: Any) -> "subprocess.CompletedProcess[Any]":
    """Run `sam3-agent` to its end, with `said` on its stdin. The options are those of `start_program`."""
    program = start_program(*words, stdin=DEVNULL if said is None else PIPE, **options)
    stdout, stderr = program.communicate(said)
    return subprocess.CompletedProcess(words, program.wait(), stdout, stderr)


def _open_stream(wanted: int | IO[Any], mode: str, text: bool) -> tuple[int, IO[Any] | None]:
    """The program's end of a stream, and ours of a pipe."""
    if wanted == DEVNULL:
        return os.open(os.devnull, os.O_RDWR), None
    if wanted != PIPE:
        return wanted if isinstance(wanted, int) else wanted.fileno(), None
    reading, writing = os.pipe()
    theirs, ours, our_mode = (reading, writing, "w") if mode == "r" else (writing, reading, "r")
    return theirs, os.fdopen(ours, our_mode, encoding="utf-8") if text else os.fdopen(ours, f"{our_mode}b")


@cache
def open_fork_server(
    python: str = sys.executable, variables: tuple[tuple[str, str], ...] | None = None
) -> tuple[socket.socket, dict[str, str]]:
    """Start a fork server of this process of tests.

    Args:
        python: Of the environment whose program it becomes.
        variables: Its own environment, in which its programs load a network where they need one; left out, that of the
            tests, in which this repository has the program and programs share a network.

    Returns:
        The socket for requests, and its environment.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)  # each request is read by itself
    environment = _find_environment() if variables is None else dict(variables)
    environment["OMP_NUM_THREADS"] = "1"  # a process with threads cannot be forked safely
    with theirs:
        command = [python, "-P", fork_server.__file__, str(theirs.fileno())]
        command += [fork_server.NETWORKS] * (variables is None)
        server = subprocess.Popen(command, env=environment, pass_fds=[theirs.fileno()], start_new_session=True)

    def close() -> None:
        ours.close()
        server.wait()

    atexit.register(close)
    return ours, dict(os.environ if variables is None else variables)


def _find_environment() -> dict[str, str]:
    """The environment of the tests, where Python finds this repository."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    # without byte code it would compile all of torch again
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return environment | {"PYTHONPATH": path}
