"""What the environment of a process does to the HTTP client."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from agent.cli.main import app

CASES = Path(__file__).parent


def test_a_socks_proxy_without_its_package_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:9")
    words = ["segment", str(CASES / "socks-proxy" / "a.png"), "circle", "--out", str(tmp_path / "o")]
    done = CliRunner().invoke(app, [*words, "--planner", "openai:x", "--base-url", "http://127.0.0.1:9/v1"])
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.startswith("error: the environment variable ALL_PROXY asks for a SOCKS proxy")
    assert "install it with: uv pip install socksio; or unset the variable" in done.stderr
    assert done.stderr.count("\n") == 1
