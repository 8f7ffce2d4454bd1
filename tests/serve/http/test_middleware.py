"""A client that is there, but reads nothing of its answer."""

import asyncio
from collections.abc import MutableMapping
from typing import Any

from serve.http.metrics import Metrics
from serve.http.middleware.asgi import RequestMiddleware


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
