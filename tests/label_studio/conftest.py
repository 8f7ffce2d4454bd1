"""A real Label Studio, `sam3-agent serve` beside it, and the file that says what came out. README.md tells more."""

import json
import os
import re
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.support.program import start_program

HERE = Path(__file__).parent
RESULT = HERE / "result.json"
PROGRAM = os.environ.get("LABEL_STUDIO_PROGRAM", "")
"""The `label-studio` to start; without it, nothing here runs."""
STARTS_WITHIN = 900.0
"""Seconds. It takes one to two minutes; the rest is for a machine with other work."""
LEGACY_TOKEN = "0123456789abcdef0123456789abcdef01234567"
BACKEND_TOKEN = "a-token-of-the-backend"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if not PROGRAM:
        for item in items:
            if HERE in item.path.parents:
                item.add_marker(pytest.mark.skip(reason="needs Label Studio: make test-label-studio"))


@pytest.fixture(scope="session")
def result(request: pytest.FixtureRequest) -> Iterator[dict[str, Any]]:
    """What the job found, by part. Written down when every test here was run and passed."""
    found: dict[str, Any] = {}
    yield found
    if not request.session.testsfailed and not request.config.option.keyword:
        RESULT.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


@dataclass(frozen=True)
class LabelStudio:
    """A Label Studio that runs."""

    url: str
    files: Path
    """Where it keeps uploads."""
    log: Path

    def make_key(self) -> str:
        """A personal access token, as the page of a user's account makes it."""
        with self.connect() as client:
            answer = client.post("/api/token/")
            assert answer.status_code == 201, answer.text[:500]
            return str(answer.json()["token"])

    def connect(self) -> httpx2.Client:
        """A client of its API, as its user."""
        headers = {"authorization": f"Token {LEGACY_TOKEN}"}
        return httpx2.Client(base_url=self.url, headers=headers, timeout=120)


@pytest.fixture(scope="session")
def label_studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabelStudio]:
    folder, port = tmp_path_factory.mktemp("label-studio"), _find_port()
    environment = {
        **os.environ,
        "LABEL_STUDIO_BASE_DATA_DIR": str(folder),
        # the backend listens at this machine, which Label Studio refuses unless both are off
        "ML_BLOCK_LOCAL_IP": "false",
        "SSRF_PROTECTION_ENABLED": "false",
        "LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN": "true",  # to get the token that its users get from their page
        "COLLECT_ANALYTICS": "false",
        "LATEST_VERSION_CHECK": "false",
        "SENTRY_DSN": "",
        "FRONTEND_SENTRY_DSN": "",
        "DEBUG": "false",
    }
    environment.pop("PYTHONPATH", None)
    words = ["start", "--no-browser", "--internal-host", "127.0.0.1", "--port", str(port), "--data-dir", str(folder)]
    user = ["--username", "a@example.org", "--password", "a-long-password", "--user-token", LEGACY_TOKEN]
    log = folder / "log.txt"
    with log.open("wb") as file:
        process = subprocess.Popen([PROGRAM, *words, *user], stdout=file, stderr=subprocess.STDOUT, env=environment)
    try:
        started = LabelStudio(f"http://127.0.0.1:{port}", folder / "media", log)
        _wait_until_up(started, process)
        yield started
    finally:
        process.terminate()
        process.wait(60)


def _wait_until_up(label_studio: LabelStudio, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + STARTS_WITHIN
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx2.get(f"{label_studio.url}/health", timeout=10).status_code == 200:
                return
        except httpx2.HTTPError:
            time.sleep(0.5)
    raise RuntimeError(f"Label Studio did not start: {label_studio.log.read_text(errors='replace')[-3000:]}")


def _find_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.fixture(scope="session")
def backend(label_studio: LabelStudio) -> Iterator[str]:
    """The address of `sam3-agent serve`, as Label Studio is told it."""
    environment = {
        **os.environ,
        "SAM3_AGENT_TOKENS": f"studio:{BACKEND_TOKEN}",
        "LABEL_STUDIO_URL": label_studio.url,
        "LABEL_STUDIO_API_KEY": label_studio.make_key(),
    }
    program = start_program("serve", "--port", "0", "--drain", "0", stderr=subprocess.DEVNULL, env=environment)
    try:
        assert program.stdout is not None
        said = re.match(r"http://\S+", program.stdout.readline())
        assert said is not None
        while httpx2.get(f"{said[0]}/ready").status_code != 200:
            time.sleep(0.1)
        yield f"{said[0]}/label-studio"
    finally:
        program.kill()
        program.close()
