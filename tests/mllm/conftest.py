"""A real server with a real, tiny vision-language model, once per test run."""

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread

import pytest

from sam3_tool import Image

collect_ignore = ["build.py"]  # a program, which finds the files beside it where it is run from

MODEL = Path(__file__).parent / "model"
SERVE = Path(__file__).parent / "serve.py"
STARTS_WITHIN = 180.0
"""Seconds. It takes 5 to 15; the rest is for a machine with other work."""


class Server:
    """`transformers serve` on a port of its own. It can be killed, and started again on the same port."""

    def __init__(self, folder: Path) -> None:
        """`folder`: for its log, and for an empty Hugging Face cache."""
        self.model = str(MODEL)
        self.port = _free_port()
        self._log = folder / "server.log"
        (folder / "hub").mkdir(parents=True)  # without it the list of models is an error
        environment = os.environ | {"HF_HOME": str(folder), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
        command = [sys.executable, str(SERVE), "serve", self.model]
        options = ["--device", "cpu", "--host", "127.0.0.1", "--port", str(self.port)]
        with self._log.open("ab") as log:
            self._starter = subprocess.Popen(
                command + options, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, env=environment, text=True
            )
        self._number: int | None = None
        """Of the process that serves."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def start(self) -> None:
        """Returns when it takes requests."""
        assert self._starter.stdin is not None
        print("start", file=self._starter.stdin, flush=True)
        self._number = int(self._hear() or 0)
        self._wait(self._number)

    def kill(self) -> None:
        """At once, in the middle of whatever it does."""
        if self._number is not None:
            with suppress(ProcessLookupError):  # where it has ended by itself
                os.kill(self._number, signal.SIGKILL)
            self._hear()
            self._number = None

    def close(self) -> None:
        self.kill()
        self._starter.communicate()

    def _hear(self) -> str:
        """What the starter says next: the number of a server, or that it has ended."""
        assert self._starter.stdout is not None
        return self._starter.stdout.readline().strip()

    def _wait(self, number: int) -> None:
        deadline = time.monotonic() + STARTS_WITHIN
        while time.monotonic() < deadline and number and Path(f"/proc/{number}").exists():
            if self._is_healthy():
                return
            time.sleep(0.1)
        self.kill()
        raise RuntimeError(f"the server did not start: {self._log.read_text()[-2000:]}")

    def _is_healthy(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("server"))
    server.start()
    yield server
    server.close()


@pytest.fixture(scope="session")
def scene() -> Image:
    return Image.open(Path(__file__).parents[2] / "examples" / "scene.png")


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


class Gate:
    """A reverse proxy before the server, that can ask for a key, keep callers waiting, and go away."""

    def __init__(self, server: Server, *, key: str = "") -> None:
        """`key`: without it a request is refused; "" lets everyone in."""
        self.key = key
        self.stalls = False
        """Requests that come now are not answered before the gate closes."""
        self._closing = Event()
        gate, behind = self, ("127.0.0.1", server.port)

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._pass("GET", b"")

            def do_POST(self) -> None:
                self._pass("POST", self.rfile.read(int(self.headers["Content-Length"])))

            def _pass(self, method: str, body: bytes) -> None:
                if gate.key and self.headers["Authorization"] != f"Bearer {gate.key}":
                    self._answer(401, b'{"error": {"message": "Incorrect API key provided"}}')
                elif gate.stalls:
                    gate._closing.wait()
                    self.close_connection = True
                else:
                    self._answer(*_asked(behind, method, self.path, body))

            def _answer(self, status: int, body: bytes, kind: str = "application/json") -> None:
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: object) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_address[1]}/v1"

    def close(self) -> None:
        """From now on nobody listens at the address."""
        if not self._closing.is_set():
            self._closing.set()
            self._http.shutdown()
            self._http.server_close()
            self._thread.join()


@pytest.fixture
def gate(server: Server) -> Iterator[Callable[..., Gate]]:
    opened: list[Gate] = []

    def open_gate(**options: str) -> Gate:
        opened.append(Gate(server, **options))
        return opened[-1]

    yield open_gate
    for one in opened:
        one.close()


def _asked(behind: tuple[str, int], method: str, path: str, body: bytes) -> tuple[int, bytes, str]:
    """Status, body and kind of the answer that the server gives to a request."""
    connection = http.client.HTTPConnection(*behind)
    with closing(connection):
        connection.request(method, path, body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        return answer.status, answer.read(), answer.headers["Content-Type"]
