"""A real server on this machine: clients that are slow, leave, or are too many, and its end."""

import http.client
import json
import signal
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, suppress
from select import select
from time import sleep
from urllib.parse import urlsplit

import pytest
from typer.testing import CliRunner

from agent.cli.main import app as program
from sam3_tool import Sam3, ScriptedBackend
from serve.http.app import create_app
from serve.http.settings import ServeSettings
from tests.support.program import start_program
from tests.support.serving import serve_in_thread, write_image


class SlowBackend(ScriptedBackend):
    """It answers when it is let, and remembers what it was asked."""

    def __init__(self) -> None:
        super().__init__({})
        self.began, self.may_go_on = threading.Event(), threading.Event()
        self.phrases: list[str] = []

    def decode(self, embeddings, prompts):
        self.phrases += [prompt.phrase for prompt in prompts]
        self.began.set()
        assert self.may_go_on.wait(60)
        return super().decode(embeddings, prompts)


def ask(address: str, method: str, path: str, body: bytes = b"") -> tuple[int, dict, dict]:
    """Status, headers and JSON of an answer, over a connection of its own."""
    headers = {"content-type": "application/json"} if body[:1] == b"{" else {}
    with closing(http.client.HTTPConnection(urlsplit(address).netloc, timeout=60)) as connection:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), json.loads(answer.read())


def segment(address: str, key: str, phrase: str) -> tuple[int, dict, dict]:
    return ask(address, "POST", "/v1/segment", json.dumps({"image": key, "phrases": [phrase]}).encode())


@contextmanager
def serve_slowly(**settings: float) -> Iterator[tuple[str, SlowBackend, str, ThreadPoolExecutor]]:
    """A server whose SAM 3 is busy with the phrase 'first', and the key of an image there."""
    backend = SlowBackend()
    with serve_in_thread(create_app(ServeSettings(**settings), Sam3(backend))) as address, ThreadPoolExecutor() as pool:
        key = ask(address, "POST", "/v1/images", write_image())[2]["image"]
        first = pool.submit(segment, address, key, "first")
        assert backend.began.wait(60)
        try:
            yield address, backend, key, pool
        finally:
            backend.may_go_on.set()
        assert first.result()[0] == 200


def wait_until_waiting(address: str, count: int) -> None:
    """Wait until so many requests are inside or wait."""
    with closing(http.client.HTTPConnection(urlsplit(address).netloc, timeout=60)) as connection:
        while True:
            connection.request("GET", "/metrics")
            lines = [line.split() for line in connection.getresponse().read().decode().splitlines()]
            if sum(float(line[1]) for line in lines if line[0] in ("sam3_inflight", "sam3_waiting")) >= count:
                return
            sleep(0.01)


def test_what_has_no_place_is_told_to_come_back_while_uploads_go_on() -> None:
    with serve_slowly(inflight=1, waiting=1) as (address, backend, key, pool):
        second = pool.submit(segment, address, key, "second")
        wait_until_waiting(address, 2)
        status, headers, answer = segment(address, key, "third")
        assert (status, answer["error"]["code"]) == (429, "busy")
        assert int(headers["retry-after"]) >= 1
        assert ask(address, "POST", "/v1/images", write_image(colour="red"))[0] == 201
        backend.may_go_on.set()
        assert second.result()[0] == 200
    assert backend.phrases == ["first", "second"]


def test_what_waits_too_long_is_given_up_and_not_computed() -> None:
    with serve_slowly(inflight=2, deadline=0.2) as (address, backend, key, pool):
        in_line = pool.submit(segment, address, key, "second")
        status, _, answer = segment(address, key, "third")
        assert (status, answer["error"]["code"]) == (504, "deadline")
        assert in_line.result()[0] == 504
    assert backend.phrases == ["first"]


def test_what_nobody_waits_for_any_more_is_not_computed() -> None:
    with serve_slowly() as (address, backend, key, _):
        leaving = http.client.HTTPConnection(urlsplit(address).netloc, timeout=60)
        body = json.dumps({"image": key, "phrases": ["second"]}).encode()
        leaving.request("POST", "/v1/segment", body, {"content-type": "application/json"})
        wait_until_waiting(address, 2)
        sleep(0.1)  # nobody looks whether a client is there at once
        leaving.close()
        for _ in range(3):  # until the server has seen it
            assert ask(address, "GET", "/health")[0] == 200
        backend.may_go_on.set()
    assert backend.phrases == ["first"]


class GriddedBackend(ScriptedBackend):
    """It takes points of everything mode four at a time, counts these batches, and ends the first when it is let."""

    points_at_once = 4

    def __init__(self) -> None:
        super().__init__({})
        self.began, self.may_go_on = threading.Event(), threading.Event()
        self.batches = 0

    def segment_points(self, embedding, prompt):
        self.batches += 1
        self.began.set()
        assert self.may_go_on.wait(60)
        return super().segment_points(embedding, prompt)


def test_everything_ends_after_the_batch_in_which_its_client_left() -> None:
    backend = GriddedBackend()
    with serve_in_thread(create_app(ServeSettings(), Sam3(backend))) as address:
        key = ask(address, "POST", "/v1/images", write_image())[2]["image"]
        body = json.dumps({"image": key, "points_per_side": 6}).encode()
        leaving = http.client.HTTPConnection(urlsplit(address).netloc, timeout=60)
        leaving.request("POST", "/v1/everything", body, {"content-type": "application/json"})
        assert backend.began.wait(60)
        sleep(0.1)  # nobody looks whether a client is there at once
        leaving.close()
        for _ in range(3):  # until the server has seen it
            assert ask(address, "GET", "/health")[0] == 200
        backend.may_go_on.set()
        assert ask(address, "POST", "/v1/everything", body)[0] == 200
    assert backend.batches == 1 + 9


def test_everything_that_has_begun_goes_on_when_its_deadline_passes() -> None:
    backend = GriddedBackend()
    with (
        serve_in_thread(create_app(ServeSettings(deadline=0.3), Sam3(backend))) as address,
        ThreadPoolExecutor() as pool,
    ):
        key = ask(address, "POST", "/v1/images", write_image())[2]["image"]
        body = json.dumps({"image": key, "points_per_side": 6}).encode()
        asked = pool.submit(ask, address, "POST", "/v1/everything", body)
        assert backend.began.wait(60)
        sleep(0.3)
        backend.may_go_on.set()
        status, _, _ = asked.result()
    assert (status, backend.batches) == (200, 9)


def exchange_bytes(address: str, sent: bytes, *, end: bool = False) -> bytes:
    """Send bytes, and return all that comes back until the server closes the connection."""
    url = urlsplit(address)
    with socket.create_connection((url.hostname, url.port), timeout=60) as connection:
        connection.sendall(sent)
        if end:
            connection.shutdown(socket.SHUT_WR)
        received = b""
        with suppress(ConnectionResetError):
            while part := connection.recv(2**16):
                received += part
        return received


def test_idle_connections_make_room_for_whoever_asks(sam3: Sam3) -> None:
    with serve_in_thread(create_app(ServeSettings(max_connections=3), sam3)) as address, ExitStack() as stack:
        url = urlsplit(address)
        idle = [stack.enter_context(socket.create_connection((url.hostname, url.port), timeout=60)) for _ in range(3)]
        for _ in range(5):
            assert ask(address, "GET", "/health")[0] == 200
        closed = [connection for connection in idle if select([connection], [], [], 0)[0]]
        assert closed
        assert [connection.recv(1) for connection in closed] == [b""] * len(closed)


def test_who_is_still_sending_too_much_gets_the_answer_and_no_reset(sam3: Sam3) -> None:
    size = 6 * 2**20
    head = b"POST /v1/segment HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
    announced = head + b"content-length: %d\r\n\r\n" % size + bytes(size)
    chunked = head + b"transfer-encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (size, bytes(size))
    with serve_in_thread(create_app(ServeSettings(), sam3)) as address:
        answers = [exchange_bytes(address, sent) for sent in (announced, chunked)]
    for answer in answers:
        assert answer.startswith(b"HTTP/1.1 413 ")
        assert b'"too_large"' in answer


def test_connections_that_bring_no_request_are_closed(sam3: Sam3) -> None:
    upload = b"POST /v1/images HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9\r\n"
    settings = ServeSettings(head_seconds=0.2, body_seconds=0.2)
    with serve_in_thread(create_app(settings, sam3)) as address:
        assert exchange_bytes(address, b"") == b""
        assert exchange_bytes(address, b"GET /health HTTP/1.1\r\nhost: loc") == b""
        assert b" 408 " in exchange_bytes(address, upload + b"\r\nabc")
        assert exchange_bytes(address, upload + b"\r\nabc", end=True) == b""
        assert exchange_bytes(address, b"\x16\x03\x01\x02\x00").startswith(b"HTTP/1.1 400 ")
        assert exchange_bytes(address, b"GET /health HTTP/1.1\r\nx: " + b"a" * 10**6).startswith(b"HTTP/1.1 400 ")
        assert b'{"status":"ok"}' in exchange_bytes(address, b"GET /health HTTP/1.0\r\n\r\n")
        expecting = upload + b"expect: 100-continue\r\nconnection: close\r\n\r\n"
        assert exchange_bytes(address, expecting + b"no image.").startswith(b"HTTP/1.1 100 Continue\r\n")
        huge = (
            b"POST /v1/images HTTP/1.1\r\nhost: localhost\r\ncontent-length: 99999999\r\nexpect: 100-continue\r\n\r\n"
        )
        assert exchange_bytes(address, huge).startswith(b"HTTP/1.1 413 ")


def test_sigterm_breaks_no_answer_and_is_announced() -> None:
    server = start_program("serve", "--port", 0, "--drain", 0.5)
    try:
        address = server.stdout.readline().split()[0]
        while ask(address, "GET", "/ready")[0] != 200:
            sleep(0.05)
        key = ask(address, "POST", "/v1/images", write_image())[2]["image"]
        asking = threading.Event()

        def ask_until_refused() -> list[int]:
            statuses = []
            with suppress(ConnectionRefusedError):
                while True:
                    status, *_ = segment(address, key, "cup")
                    statuses.append(status)
                    asking.set()
            return statuses

        with ThreadPoolExecutor() as pool:
            clients = [pool.submit(ask_until_refused) for _ in range(4)]
            assert asking.wait(60)
            server.send_signal(signal.SIGTERM)
            while ask(address, "GET", "/health")[1].get("connection") != "close":
                sleep(0.01)
            status, _, answer = ask(address, "GET", "/ready")
            assert (status, answer["error"]["code"]) == (503, "draining")
            statuses = {status for each in clients for status in each.result()}
        assert statuses == {200}
        assert server.wait(60) == 0
        assert server.stderr.read().count("\n") == 1  # the line with curl: no complaint at its end
    finally:
        server.kill()
        server.close()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--host", "0.0.0.0"], "everybody who reaches 0.0.0.0 could use the server: give out tokens"),
        (["--tokens", "/nowhere/tokens.toml"], "/nowhere/tokens.toml: No such file or directory"),
        (["--sam3", "/nowhere/weights", "--port", "0"], "/nowhere/weights"),
        (["--planner", "nobody", "--port", "0"], "there is no planner 'nobody'"),
        (["--allow-url", "https://a.example/b", "--port", "0"], "--allow-url: expected a host, or HOST:PORT"),
        (["--host", "192.0.2.1", "--tokens", "TOKENS"], "cannot listen at 192.0.2.1, port 8000"),
    ],
)
def test_what_cannot_be_served_is_one_line(tmp_path, words, said) -> None:
    tokens = tmp_path / "tokens.toml"
    tokens.write_text("[tenants.anna]\ntokens = ['a-long-secret-token']\n")
    done = CliRunner().invoke(program, ["serve", *(str(tokens) if word == "TOKENS" else word for word in words)])
    assert done.exit_code == 2
    assert said in done.stderr
    assert done.stderr.splitlines()[-1].startswith("error: ")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("option", ["--max-bytes", "--image-memory", "--timeout", "--drain"])
@pytest.mark.parametrize("number", ["nan", "inf"])
def test_a_number_without_an_end_is_no_limit(option, number) -> None:
    done = CliRunner().invoke(program, ["serve", "--port", "0", option, number])
    assert done.exit_code == 2
    assert option in done.output
