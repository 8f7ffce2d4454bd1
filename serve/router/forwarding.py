"""One request, handed to a process, and its answer, handed back as it arrives."""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterable
from contextlib import suppress

import httpx2
from starlette.requests import ClientDisconnect

from serve.http.errors import ApiError, Receive, Scope, Send
from serve.router.routing import PEEK_BYTES, Route, find_route, read_key
from serve.router.tasks import EndableTask
from serve.router.workers import Fleet, Worker, build_request

_HOP_HEADERS = frozenset(
    b"connection expect keep-alive proxy-connection te trailer transfer-encoding upgrade x-request-id".split()
)
"""What concerns one connection and not the request; and the request's number, which is given anew."""
_OWN_HEADERS = _HOP_HEADERS | {b"date"}
"""What the server gives every answer itself."""


_ASKING_HEADERS = frozenset((b"authorization", b"host", b"x-request-id"))
"""What the processes need to know of who asks."""


class Forwarder:
    """The application behind the address: it has no routes of its own. Plain ASGI."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request.

        Raises:
            ApiError: No process can answer, or the one that worked at it has ended.
        """
        body = ClientBody(receive)
        peek = await body.peek()
        route = find_route(scope["method"], scope["path"], scope["headers"], peek)
        candidates = self._choose_workers(route)
        if route.is_everywhere:
            await asyncio.gather(*(_ask_quietly(other, scope["method"], scope) for other in candidates[1:]))
        for worker in candidates:
            try:
                await self._forward(worker, scope, body, send)
            except (httpx2.ConnectError, httpx2.ConnectTimeout):  # it has just ended, and has seen nothing of this
                worker.is_ready = False
            else:
                return
        raise ApiError(503, "no_process", "no process can answer this now; try again in a moment", {"retry-after": "1"})

    def _choose_workers(self, route: Route) -> list[Worker]:
        if route.is_kept and route.key is not None:
            owner = self._fleet.get_owner(route.key)
            return [owner] if owner.is_ready else []
        return self._fleet.rank_workers(route.key)

    async def _forward(self, worker: Worker, scope: Scope, body: "ClientBody", send: Send) -> None:
        headers = [*_choose_headers(scope), *body.choose_headers(scope["headers"])]
        request = build_request(scope["method"], _get_target(scope), headers, body)
        worker.inflight += 1
        try:
            await _end_with_client(self._answer(worker, request, scope, send), body)
        except (httpx2.ConnectError, httpx2.ConnectTimeout):
            raise
        except httpx2.TransportError as error:
            raise ApiError(
                503, "process_ended", "the process that answered this has ended; try again", {"retry-after": "1"}
            ) from error
        finally:
            worker.inflight -= 1

    async def _answer(self, worker: Worker, request: httpx2.Request, scope: Scope, send: Send) -> None:
        response = await worker.transport.handle_async_request(request)
        try:
            headers = [(name, value) for name, value in response.headers.raw if name.lower() not in _OWN_HEADERS]
            await send({"type": "http.response.start", "status": response.status_code, "headers": headers})
            async for chunk in response.aiter_raw():
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        finally:
            await response.aclose()
        self._announce_image(worker, response, scope)

    def _announce_image(self, worker: Worker, response: httpx2.Response, scope: Scope) -> None:
        """Let an image that was uploaded be encoded by the process that will be asked about it."""
        key = read_key(response.headers.get("location", ""))
        if response.status_code == 201 and key is not None:
            owner = self._fleet.get_owner(key)
            if owner is not worker and owner.is_ready:
                self._fleet.start_telling(_ask_quietly(owner, "HEAD", scope, f"/v1/images/{key}"))


class ClientBody(httpx2.AsyncByteStream):
    """The body of a request: its beginning is kept, and the rest handed on as it arrives."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._peeked = b""
        self._whole = asyncio.Event()

    async def peek(self) -> bytes:
        """Return the beginning of the body."""
        while not self._whole.is_set() and len(self._peeked) < PEEK_BYTES:
            self._peeked += await self._read_chunk()
        return self._peeked

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._peeked
        while not self._whole.is_set():
            yield await self._read_chunk()

    async def _read_chunk(self) -> bytes:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        if not message.get("more_body", False):
            self._whole.set()
        chunk: bytes = message.get("body", b"")
        return chunk

    def choose_headers(self, headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        """Return how the length of the body is told, where the client has not told it."""
        if any(name == b"content-length" for name, _ in headers):
            return []
        if not self._whole.is_set():
            return [(b"transfer-encoding", b"chunked")]
        return [(b"content-length", b"%d" % len(self._peeked))] if self._peeked else []

    async def wait_for_leaving(self) -> None:
        """Wait until the client leaves, which it may do as soon as its request is whole."""
        await self._whole.wait()
        while (await self._receive())["type"] != "http.disconnect":
            pass


async def _end_with_client(answer: Coroutine[None, None, None], body: ClientBody) -> None:
    """Answer, unless the client leaves. Raises ClientDisconnect."""
    answering, leaving = EndableTask(answer), asyncio.create_task(body.wait_for_leaving())
    try:
        await asyncio.wait((answering.task, leaving), return_when=asyncio.FIRST_COMPLETED)
        if not answering.is_done:
            raise ClientDisconnect
        await answering.task
    finally:
        leaving.cancel()
        await answering.end()


async def _ask_quietly(worker: Worker, method: str, scope: Scope, target: str | None = None) -> None:
    """Ask a process for what it does well to do, in the name of the client; nobody waits for its answer."""
    with suppress(httpx2.TransportError):
        headers = [pair for pair in _choose_headers(scope) if pair[0] in _ASKING_HEADERS]
        await worker.fetch(target or _get_target(scope), method=method, headers=headers)


def _get_target(scope: Scope) -> str:
    """Return path and query as the client wrote them."""
    path = (scope.get("raw_path") or scope["path"].encode()).decode("latin-1")
    query = scope["query_string"].decode("latin-1")
    return f"{path}?{query}" if query else path


def _choose_headers(scope: Scope) -> list[tuple[bytes, bytes]]:
    request_id = scope["state"]["request_id"].encode()
    return [*(pair for pair in scope["headers"] if pair[0] not in _HOP_HEADERS), (b"x-request-id", request_id)]
