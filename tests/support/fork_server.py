"""A process that has imported what `sam3-agent` is slow to import, and forks itself into it for each command.

The program that comes out is a process like any other: signals, exit codes, pipes and a kill are real. What it has not
done itself are its imports and its loading of the embedded network, which take eight seconds of a processor.
"""

import gc
import json
import os
import random
import socket
import sys
from contextlib import suppress
from fcntl import ioctl
from importlib import import_module
from io import TextIOWrapper
from termios import TIOCSCTTY
from typing import Any

import numpy as np

MODULES = (
    "agent.cli.chat.session",
    "agent.cli.main",
    "agent.planners.grammar.planner",
    "agent.planners.loading",
    "agent.report.output_folder",
    "evals.evaluation",
    "evals.runs.assembly",
)
NETWORKS = "networks"
"""The argument with which PyTorch and the embedded network are loaded as well."""
MODULES_OF_COMMANDS = {
    "annotate": ("annotate.cli.command",),
    "demo": ("demo.cli", "demo.engine", "demo.server"),
    "engine": ("engine.cli", "engine.review.app", "serve.http.middleware.drain"),
    "mcp": ("serve.mcp.cli", "serve.mcp.server", "serve.mcp.transports"),
    "serve": ("serve.cli", "serve.http.app", "serve.http.middleware.drain", "serve.router.app"),
}
"""What a command is slow to import besides: imported before its first fork, so that further ones share it."""

LONGEST_COMMAND = 64
"""Bytes."""


def serve_forks(requests: socket.socket) -> None:
    """Fork for each request. Returns in each program; never in the server."""
    while True:
        command, files, _, _ = socket.recv_fds(requests, LONGEST_COMMAND, 4)
        if not files:  # the tests have ended
            os._exit(0)
        for module in MODULES_OF_COMMANDS.get(command.decode(errors="replace"), ()):
            import_module(module)
        if os.fork() == 0:
            requests.close()
            *streams, channel = files
            keep_program(streams, socket.socket(fileno=channel))
            return
        for file in files:
            os.close(file)
        with suppress(ChildProcessError):  # for the time that keepers took to be counted
            while os.waitpid(-1, os.WNOHANG) != (0, 0):
                pass


def keep_program(streams: list[int], channel: socket.socket) -> None:
    """Tell the tests the program's number, and then how it ended. Returns in the program itself."""
    with channel, channel.makefile(encoding="utf-8") as lines:
        request: dict[str, Any] = json.loads(lines.readline())
        program = os.fork()
        if program:
            for stream in streams:
                os.close(stream)
            send_number(channel, program)
            _, status = os.waitpid(program, 0)
            send_number(channel, os.waitstatus_to_exitcode(status))
            os._exit(0)
    become_program(request, streams)


def send_number(channel: socket.socket, number: int) -> None:
    with suppress(OSError):  # the tests have ended
        channel.sendall(number.to_bytes(4, "little", signed=True))


def become_program(request: dict[str, Any], streams: list[int]) -> None:
    """Take over the streams, folder and environment of the request, as if Python had just started there."""
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    if request["terminal"]:
        os.setsid()
        ioctl(0, TIOCSCTTY, 0)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.argv = ["sam3-agent", *request["words"]]
    open_streams()
    np.random.seed()
    random.seed()


def open_streams() -> None:
    """Open the standard streams anew, as Python does for this environment."""
    encoding, errors = sys.stdout.encoding, sys.stdout.errors
    if wanted := os.environ.get("PYTHONIOENCODING"):
        encoding, _, errors = wanted.partition(":")
    errors = errors or "strict"
    sys.stdin = sys.__stdin__ = open(0, encoding=encoding, errors=errors, closefd=False)  # noqa: SIM115 - stays open
    sys.stdout = sys.__stdout__ = open(1, "w", encoding=encoding, errors=errors, closefd=False)  # noqa: SIM115
    raw = open(2, "wb", buffering=0, closefd=False)  # noqa: SIM115
    sys.stderr = sys.__stderr__ = TextIOWrapper(raw, encoding, "backslashreplace", line_buffering=True)


if __name__ == "__main__":
    for module in MODULES:
        import_module(module)
    if NETWORKS in sys.argv:
        from sam3_tool import Sam3

        network = Sam3.load("tiny")  # which every program then shares
    gc.freeze()
    serve_forks(socket.socket(fileno=int(sys.argv[1])))
    from agent.cli.main import main

    main()
