"""What every request passes: clients that read nothing, numbers of answers, targets that are whole addresses."""

import asyncio
from collections.abc import MutableMapping
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

from sam3_tool import Sam3
from serve.http.app import create_app
from serve.http.metrics import Metrics
from serve.http.middleware.asgi import RequestMiddleware
from serve.http.settings import ServeSettings
from tests.support.serving import serve_in_thread


def test_an_answer_that_nobody_reads_is_broken_off(caplog) -> None:
    sent = []

    async def answer(scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})

    async def send_slowly(message: MutableMapping[str, Any]) -> None:
        sent.append(message["type"])
        if message["type"] == "http.response.body":
            await asyncio.Event().wait()

    metrics = Metrics()
    guarded = RequestMiddleware(answer, metrics=metrics, is_draining=lambda: False, answer_seconds=0.01)
    asyncio.run(guarded({"type": "http", "headers": []}, None, send_slowly))
    assert sent == ["http.response.start", "http.response.body"]
    assert b'sam3_requests_total{route="other",status="200"} 1.0' in metrics.render_text()
    assert caplog.text == ""


def test_behind_a_server_that_numbers_answers_the_number_is_not_added_once_more() -> None:
    async def answer(scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})

    def list_names(**options: bool) -> list[bytes]:
        sent: list[MutableMapping[str, Any]] = []

        async def send(message: MutableMapping[str, Any]) -> None:
            sent.append(message)

        app = RequestMiddleware(answer, metrics=Metrics(), is_draining=lambda: False, **options)  # type: ignore[arg-type]
        asyncio.run(app({"type": "http", "headers": []}, None, send))
        return [name for name, _ in sent[0]["headers"]]

    numbered, plain = list_names(), list_names(numbers_answers=False)
    assert [name for name in numbered if name not in plain] == [b"x-request-id"]


def test_a_target_that_is_a_whole_address_is_answered_as_its_path(sam3: Sam3) -> None:
    hosts = ("localhost", "127.0.0.1", "[::1]")
    with serve_in_thread(create_app(ServeSettings(hosts=hosts), sam3)) as address:
        netloc = urlsplit(address).netloc

        def ask(target: str, **headers: str) -> int:
            connection = HTTPConnection(netloc)
            connection.request("GET", target, headers=headers)
            status = connection.getresponse().status
            connection.close()
            return status

        assert ask(f"http://{netloc}/health") == 200
        assert ask(f"HTTP://{netloc}/metrics?x=1") == ask("/metrics?x=1") == 200
        assert ask(f"http://{netloc}/nothing") == 404
        assert ask("http://evil.example/metrics", host=netloc) == 403  # its host counts, not the header
        assert ask("http://evil.example%2F/metrics", host=netloc) == 403
        assert ask(f"http://me@{netloc}/metrics", host="evil.example") == 200
        assert ask(f"http://{netloc}") == ask("/")
        assert ask("ftp://localhost/health") == 404
