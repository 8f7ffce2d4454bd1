"""The server as an assistant starts it: a process that speaks on stdin and stdout."""

import asyncio
import os
import pty
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from subprocess import PIPE
from typing import Any

import anyio
import pytest
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.server.stdio import stdio_server
from typer.testing import CliRunner

from agent.cli.main import app
from tests.serve.mcp.conftest import list_steps
from tests.support.program import ROOT, Program, start_program

SCENE = ROOT / "examples" / "scene.png"
GREETING = (
    '{"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"protocolVersion": "2025-11-25", "capabilities":'
    ' {}, "clientInfo": {"name": "a stranger", "version": "1"}}}\n'
)


def test_nothing_but_the_protocol_is_on_stdout(tmp_path, png):
    """The client would raise at any other line; what is printed is on stderr."""
    printed = tmp_path / "stderr.txt"
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    parameters = StdioServerParameters(
        command=sys.executable,
        args=["-m", "tests.serve.mcp.noisy_server"],
        env={"PYTHONPATH": path, "PATH": os.environ["PATH"]},
        cwd=ROOT,
    )

    async def story() -> None:
        with printed.open("w") as errors:
            async with Client(stdio_client(parameters, errlog=errors), mode="legacy") as client:
                assert client.protocol_version == "2025-11-25"
                opened = await client.call_tool("open_image", {"data": png})
                handle = opened.structured_content["image"]
                found = await client.call_tool("segment", {"image": handle, "phrases": ["cup"]})
                assert len(found.structured_content["masks"]) == 3

    asyncio.run(story())
    for line in ("printed by a library", "written by a library", "said by a child"):
        assert line in printed.read_text()


@asynccontextmanager
async def open_transport(program: Program) -> AsyncIterator[Any]:
    """The pipes of a program as the official client takes them: the transport is the same at both ends."""
    async with stdio_server(anyio.wrap_file(program.stdout), anyio.wrap_file(program.stdin)) as streams:
        try:
            yield streams
        finally:
            assert program.stdin is not None
            program.stdin.close()
            program.stdin = None


def test_the_program_answers_about_files_of_its_root(tmp_path):
    program = start_program("mcp", "--root", SCENE.parent, stdin=PIPE, cwd=tmp_path)
    heard: list[str] = []

    async def listen(count: float, total: float | None, text: str | None) -> None:
        heard.append(text or "")

    async def story() -> None:
        async with Client(open_transport(program)) as client:
            assert client.protocol_version == "2026-07-28"
            opened = await client.call_tool("open_image", {"path": "scene.png"})
            assert [block.type for block in opened.content] == ["text", "image"]
            query = "the watermelons above the banana except the largest one"
            asked = {"image": opened.structured_content["image"], "query": query}
            answer = await client.call_tool("ask", asked, progress_callback=listen)
            assert (answer.structured_content["outcome"], len(answer.structured_content["masks"])) == ("answered", 3)
            for path in ("../pyproject.toml", "/etc/passwd"):
                refused = await client.call_tool("open_image", {"path": path})
                assert "no file inside the folder" in refused.content[0].text

    asyncio.run(story())
    stdout, stderr = program.communicate()
    assert (program.returncode, stdout, stderr) == (0, "", "")
    assert list_steps(heard) == ["segment", "relate", "rank", "combine", "answer"]


def test_a_client_that_leaves_at_once_leaves_nothing_behind():
    program = start_program("mcp", stdin=PIPE)
    stdout, _ = program.communicate(GREETING)
    assert program.returncode == 0
    assert stdout.count("\n") == 1


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_ends_it_though_stdin_stays_open(number, code):
    program = start_program("mcp", stdin=PIPE)
    assert program.stdin is not None
    assert program.stdout is not None
    program.stdin.write(GREETING)
    program.stdin.flush()
    assert "sam3-agent" in program.stdout.readline()
    program.send_signal(number)
    assert program.wait() == code
    _, stderr = program.communicate()
    assert stderr == f"ended by {signal.Signals(number).name}; the server has ended\n"


def test_a_person_at_a_terminal_is_told_what_it_waits_for():
    ours, theirs = pty.openpty()
    program = start_program("mcp", stdin=theirs)
    try:
        assert program.stderr is not None
        assert "This is a server for an assistant" in program.stderr.readline()
        os.write(ours, b"segment photo.png\n\x04")
        _, stderr = program.communicate()
    finally:
        os.close(ours)
    assert program.returncode == 0, stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--root", "missing"], "--root: there is no folder missing"),
        (["--tokens", "tokens.toml"], "are for --http"),
        (["--http", "--host", "0.0.0.0"], "--tokens"),
        (["--http", "--tokens", "missing.toml"], "missing.toml"),
        (["--http", "--host", "no.such.host.invalid", "--tokens", "tokens.toml"], "cannot listen"),
        (["--overlay", "-1"], "--overlay"),
        (["--allow-url", "https://example.org/"], "--allow-url"),
        (["--max-steps", "0"], "--max-steps must be at least 1"),
    ],
)
def test_what_it_cannot_start_with_is_one_sentence(tmp_path: Path, monkeypatch, words, said):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SAM3_AGENT_TOKENS", raising=False)
    Path("tokens.toml").write_text('[tenants.ada]\ntokens = ["ada-has-this-long-token"]\n')
    done = CliRunner().invoke(app, ["mcp", *words])
    assert (done.exit_code, done.stdout) == (2, "")
    assert said in done.stderr
