"""Whatever a server does, a hosted SAM 3 says it in one sentence, in time, and without its key."""

import logging
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread
from threading import enumerate as list_threads
from typing import Any

import numpy as np
import pytest

from sam3_tool import CheckpointError, ConceptPrompt, Image, Sam3
from sam3_tool.backends.hosted.backend import HostedBackend
from sam3_tool.backends.hosted.client import HostedClient
from sam3_tool.backends.hosted.endpoint import HostedEndpoint
from sam3_tool.backends.hosted.settings import HostedSettings
from tests.support.chat_server import Answer, ChatServer, refusal
from tests.support.tls_listener import TlsListener, write_certificate

KEY = "sam-planted-5up3r-s3cr3t"
BLANK = Image(np.zeros((10, 20, 3), np.uint8))
NOTHING = {"status": "completed", "output": [], "usage": {"input_tokens": 30, "output_tokens": 4}}
OBJECT = "<0f>0<|box;x1=3;y1=4;x2=7;y2=8;w=20;h=10|><|mask;x=0;y=0;data=5,5,!!!!!(QO(0lu8?|>"

Connect = Callable[..., Sam3]


def respond(text: str) -> dict[str, Any]:
    """A completed response with this text."""
    message = {"type": "message", "content": [{"type": "output_text", "text": text}]}
    return {**NOTHING, "output": [message]}


@pytest.fixture
def server() -> Iterator[ChatServer]:
    server = ChatServer().script(NOTHING)
    yield server
    server.close()


@pytest.fixture
def connect(server: ChatServer) -> Connect:
    def connect(where: str = "", **options: Any) -> Sam3:
        settings = HostedSettings(**{"first_delay": 0.005, "retries": 2, "timeout": 20.0, **options})
        return Sam3(HostedBackend(HostedClient.connect(HostedEndpoint(where or server.url, KEY), settings)))

    return connect


def read_failure(sam3: Sam3) -> str:
    with pytest.raises(CheckpointError) as caught:
        sam3.segment(BLANK, "cup")
    message = str(caught.value)
    assert "\n" not in message
    assert KEY not in message
    return message


def test_a_request_is_what_the_protocol_asks_for(server: ChatServer, connect: Connect) -> None:
    report = connect().run_requests([(BLANK, ConceptPrompt(" striped\ncup "))])
    [request], [headers] = server.requests, server.headers
    text, image = request["input"][0]["content"]
    assert (server.paths, headers["authorization"]) == (["/v1/responses"], f"Bearer {KEY}")
    assert (request["model"], text) == ("sam-3.1", {"type": "input_text", "text": "striped cup"})
    assert image["image_url"].startswith("data:image/png;base64,")
    assert request["metadata"] == {"mask_encoding": "one_bit", "include_confidence": "true"}
    cost = report.cost
    assert (cost.requests, cost.input_tokens, cost.output_tokens, cost.seconds > 0) == (1, 30, 4, True)


@pytest.mark.parametrize(
    ("answer", "tries", "said"),
    [
        (refusal(401, f"Incorrect key {KEY}"), 1, "refused the key (Incorrect key [the key]); expected is a key"),
        (refusal(402, "pay"), 1, "wants to be paid (pay); the account behind the key has no credit left"),
        (refusal(403, "no"), 1, "does not allow the use of 'sam-3.1' (no)"),
        (refusal(404, "no such model"), 1, "does not know 'sam-3.1' (no such model); is SAM_BASE_URL"),
        (refusal(405, "POST?"), 1, "takes no questions (POST?)"),
        (refusal(413, "too large"), 1, "does not take so large a request (too large); SAM_IMAGE_SIDE=1024"),
        (refusal(422, "bad\nmetadata"), 1, "refused the request with 422 (bad metadata)"),
        (refusal(429, "slow down"), 3, "answered 429 (slow down), in 3 tries"),
        (refusal(429, "later", retry_after="3600"), 1, "answered 429 (later) and asks to wait 3600 seconds"),
        (Answer({"error": {"code": "insufficient_quota", "message": "x"}}, 429), 1, "has no credit left"),
        (refusal(500, "oops"), 3, "answered 500 (oops), in 3 tries"),
        (Answer("<html><h1>Bad gateway</h1></html>", 502, kind="text/html"), 3, "answered 502 (Bad gateway)"),
        (Answer("<html><h1>Welcome</h1></html>", kind="text/html"), 1, "text that is no JSON (Welcome); is SAM_BASE"),
        (Answer("", kind=None), 3, "answered with nothing at all, in 3 tries"),
        (Answer('{"status": "compl'), 3, "answered with damaged JSON, in 3 tries"),
        (Answer("[" * 100_000), 3, "answered with damaged JSON"),
        (Answer({"choices": []}), 1, "answered with JSON that is no completed response (choices)"),
        (Answer(respond("hello")), 1, "answered with words, not with masks (hello)"),
        (Answer(drop=True), 3, "closed the connection without a whole answer, in 3 tries"),
        (Answer(raw=b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{"), 3, "without a whole answer"),
        (Answer(raw=b"SSH-2.0-OpenSSH\r\n"), 3, "closed the connection"),
        (
            Answer("", 307, {"location": "https://me:pw@example.org/v2/responses"}),
            1,
            "moved to https://example.org/v2;",
        ),
    ],
)
def test_every_fault_is_one_sentence(
    server: ChatServer, connect: Connect, answer: Answer, tries: int, said: str
) -> None:
    server.script(answer)
    message = read_failure(connect())
    assert message.startswith(f"the hosted SAM 3 at {server.url} ")
    assert said in message
    assert len(server.requests) == tries


def test_what_passes_is_asked_again_and_counted(server: ChatServer, connect: Connect) -> None:
    server.script(refusal(503, "busy", retry_after="0.01"), Answer(drop=True), respond(OBJECT))
    report = connect().run_requests([(BLANK, ConceptPrompt("cup"))])
    assert [len(found) for found in report.instances] == [1]
    assert report.instances[0].scores.tolist() == [1.0]  # the server gives no confidence
    assert report.cost.requests == 3


def test_a_server_that_hangs_is_given_up_at_the_one_deadline(server: ChatServer, connect: Connect) -> None:
    server.script(Answer(NOTHING, stall=30))
    assert "did not answer within 0.3 seconds; SAM_TIMEOUT=300 waits longer" in read_failure(connect(timeout=0.3))
    server.script(Answer(NOTHING, blanks=30))
    assert "did not answer within 0.3 seconds" in read_failure(connect(timeout=0.3))


def test_no_more_requests_are_under_way_than_there_are_workers(server: ChatServer, connect: Connect) -> None:
    server.script(Answer(NOTHING, stall=0.02))
    requests = [(BLANK, ConceptPrompt(f"cup {number}")) for number in range(8)]
    assert connect(workers=3).run_requests(requests).cost.requests == 8
    assert server.most_at_once == 3


def test_what_was_paid_for_is_not_asked_again_when_another_question_fails(server: ChatServer, connect: Connect) -> None:
    server.answers = [lambda request: refusal(400, "no") if "bad" in str(request["input"]) else respond(OBJECT)]
    sam3 = connect(workers=1)
    with pytest.raises(CheckpointError, match="refused the request with 400"):
        sam3.run_requests([(BLANK, ConceptPrompt("cup")), (BLANK, ConceptPrompt("bad"))])
    report = sam3.run_requests([(BLANK, ConceptPrompt("cup"))])
    assert len(server.requests) == 2
    assert report.cost.requests == 1
    assert len(sam3.segment(BLANK, "cup")) == 1
    assert len(server.requests) == 3


def test_nobody_there_and_no_trust_are_told(connect: Connect, tmp_path: Path) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{held.getsockname()[1]}/v1"
        assert "cannot be reached, in 3 tries; is it running, and is SAM_BASE_URL its address?" in read_failure(
            connect(nobody)
        )
    write_certificate(tmp_path / "certificate.pem")
    listener = TlsListener(tmp_path / "certificate.pem")
    try:
        message = read_failure(connect(f"https://127.0.0.1:{listener.port}/v1"))
        assert "cannot be trusted (" in message
        assert "SSL_CERT_FILE" in message
    finally:
        listener.close()


def test_ctrl_c_ends_a_question_that_hangs(server: ChatServer, connect: Connect) -> None:
    server.script(Answer(NOTHING, stall=60))
    sam3, before = connect(timeout=50.0), set(list_threads())

    def interrupt_once_asked() -> None:
        while not server.requests:
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    Thread(target=interrupt_once_asked, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        sam3.segment(BLANK, "cup")
    sam3.close()  # as the end of the process does
    assert len(server.requests) == 1
    assert "batcher" not in [thread.name for thread in set(list_threads()) - before]


def test_the_key_is_in_no_log_and_in_no_repr(
    server: ChatServer, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    server.script(refusal(500, f"we do not like {KEY}"), NOTHING)
    sam3 = connect()
    sam3.segment(BLANK, "cup")
    backend: Any = sam3._backend
    assert "trying again" in caplog.text
    assert KEY not in caplog.text + repr(backend._client) + repr(vars(backend)) + backend.fingerprint


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({}, "SAM 3.1 at Meta wants a key; set the environment variable SAM_API_KEY"),
        ({"SAM_API_KEY": "s\u00e9cret"}, "SAM_API_KEY holds no key"),
        ({"SAM_BASE_URL": "localhost:8000"}, "no address of a server; expected"),
        (
            {"SAM_BASE_URL": "http://me:pw@localhost:8000/v1"},
            "holds a name or a password; put the key into SAM_API_KEY",
        ),
        ({"SAM_API_KEY": KEY, "SAM_TIMEOUT": "soon"}, "SAM_TIMEOUT holds 'soon'; expected is a number from 1 to 3600"),
        ({"SAM_API_KEY": KEY, "SAM_IMAGE_SIDE": "nan"}, "SAM_IMAGE_SIDE holds 'nan'"),
        ({"SAM_API_KEY": KEY, "HTTPS_PROXY": "not a proxy"}, "HTTPS_PROXY holds no address of a proxy"),
    ],
)
def test_what_the_environment_lacks_is_said_before_anything_is_sent(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], said: str
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(CheckpointError) as caught:
        Sam3.load("hosted:sam-3.1")
    assert said in str(caught.value)
    assert "pw" not in str(caught.value)


def test_a_key_under_its_owners_name_goes_to_its_owner_alone() -> None:
    owners = HostedEndpoint.from_environment({"MODEL_API_KEY": KEY})
    others = HostedEndpoint.from_environment({"MODEL_API_KEY": KEY, "SAM_BASE_URL": "http://localhost:1/v1/responses/"})
    assert owners.headers == {"authorization": f"Bearer {KEY}"}
    assert (others.headers, others.address) == ({}, "http://localhost:1/v1")
