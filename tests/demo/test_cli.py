"""`sam3-agent demo` says in one line why it cannot start."""

import socket

from typer.testing import CliRunner

from agent.cli.main import app
from demo.cli import AUTH


def test_a_password_that_cannot_be_used_is_not_shown(monkeypatch):
    monkeypatch.setenv(AUTH, "hunter2")
    done = CliRunner().invoke(app, ["demo"])
    assert (done.exit_code, done.stderr) == (2, f"error: --auth (or {AUTH}) must be USER:PASSWORD, both not empty\n")


def test_a_port_that_is_taken_is_one_line():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = CliRunner().invoke(app, ["demo", "--port", str(taken.getsockname()[1])])
    assert done.exit_code == 2
    assert "choose another --port" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_proxy_that_the_page_cannot_use_is_one_line(monkeypatch):
    monkeypatch.setenv("all_proxy", "socks4://127.0.0.1:9")
    done = CliRunner().invoke(app, ["demo", "--port", "0"])
    assert done.exit_code == 2
    assert done.stderr.startswith("error: the environment variable all_proxy holds no address of a proxy")
    assert done.stderr.count("\n") == 1
