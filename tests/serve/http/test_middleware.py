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
