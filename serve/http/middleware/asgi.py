"""What every request passes before a route sees it: its number, who asks, and how much it may send. Plain ASGI."""

import asyncio
import re
import secrets
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from typing import Any

from starlette.requests import ClientDisconnect

from serve.http.errors import ApiError, Message, Receive, Scope, Send, build_error_response, to_api_error
from serve.http.metrics import Metrics
from serve.http.middleware.auth import ANYBODY, Tenant, TokenBook, read_token
from serve.http.settings import ServeSettings

App = Callable[[Scope, Receive, Send], Any]
Headers = Sequence[tuple[bytes, bytes]]

OPEN_PATHS = frozenset({"/health", "/ready", "/label-studio/webhook"})
"""Whoever watches the server needs no token for these; Label Studio tells of events without the one that it has."""
SECURITY_HEADERS: Headers = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)
_CHALLENGES = {path: 'Basic realm="any name, and the token as password"' for path in ("/docs", "/openapi.json")}
"""Of pages that somebody opens in a browser, which can ask for a password alone."""
LINGER_SECONDS = 10.0
"""For which the rest of a body that is refused is read, and dropped."""
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")


class RequestMiddleware:
    """Gives a request its number, counts it, and answers what no route has foreseen."""

    def __init__(
        self,
        app: App,
        *,
        metrics: Metrics,
        is_draining: Callable[[], bool],
        answer_seconds: float = 60.0,
        numbers_answers: bool = True,
    ) -> None:
        """Wrap an application.

        Args:
            app: The application.
            metrics: Are told of each request.
            is_draining: Whether the server is about to end: then clients shall open a connection elsewhere.
            answer_seconds: For which a client may read nothing of an answer.
            numbers_answers: Whether the number is a header of the answer.
        """
        self._app, self._metrics, self._is_draining = app, metrics, is_draining
        self._answer_seconds, self._numbers_answers = answer_seconds, numbers_answers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _choose_request_id(scope["headers"])
        scope.setdefault("state", {})["request_id"] = request_id
        number = [(b"x-request-id", request_id.encode())] if self._numbers_answers else []
        own_headers = [*number, *SECURITY_HEADERS]
        began, status = time.perf_counter(), 0

        async def send_marked(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = _merge_headers(message["headers"], own_headers)
                if self._is_draining():
                    message["headers"].append((b"connection", b"close"))
            try:
                async with asyncio.timeout(self._answer_seconds):
                    await send(message)
            except TimeoutError:  # the client is there, but it reads nothing
                raise ClientDisconnect from None

        try:
            await self._app(scope, receive, send_marked)
        except Exception as error:
            refusal = to_api_error(error, request_id)
            if status:  # the answer is under way: only breaking it off says that it is not whole
                return
            await build_error_response(refusal, scope)(scope, receive, send_marked)
        finally:
            route = getattr(scope.get("route"), "path", "other")
            self._metrics.observe_request(route, status, time.perf_counter() - began)


def _choose_request_id(headers: Headers) -> str:
    """Return the client's own number for a request, if it is one, or a new one."""
    for name, value in headers:
        if name == b"x-request-id" and _REQUEST_ID.fullmatch(value):
            return value.decode()
    return secrets.token_hex(8)


def _merge_headers(headers: Headers, defaults: Headers) -> list[tuple[bytes, bytes]]:
    """Return the headers of an answer, and of the others those that it does not set itself."""
    own = {name.lower() for name, _ in headers}
    return [*headers, *(pair for pair in defaults if pair[0] not in own)]


class AuthMiddleware:
    """Finds out who asks, before anything of the body is read."""

    def __init__(self, app: App, *, settings: ServeSettings, open_paths: Collection[str] = OPEN_PATHS) -> None:
        """Wrap an application. `open_paths`: those that need no token."""
        self._app, self._tokens, self._open_paths = app, settings.tokens, open_paths
        self._hosts = frozenset(settings.hosts)
        self._origins = frozenset(settings.origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or refuse it."""
        if scope["type"] == "http" and scope["path"] not in self._open_paths:
            headers = dict(scope["headers"])
            try:
                scope["state"]["tenant"] = self._find_tenant(self._tokens, headers, scope["path"])
            except ApiError as error:
                await build_error_response(error, scope)(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _find_tenant(self, tokens: TokenBook, headers: dict[bytes, bytes], path: str) -> Tenant:
        if not tokens:
            self._check_host(headers)
            return ANYBODY
        tenant = tokens.find_tenant(read_token(headers))
        if tenant is None:
            raise ApiError(
                401,
                "unauthorized",
                "this server wants a token: send the header `authorization: Bearer TOKEN`",
                {"www-authenticate": _CHALLENGES.get(path, "Bearer")},
            )
        return tenant

    def _check_host(self, headers: dict[bytes, bytes]) -> None:
        """Refuse what a web page of somebody else has a browser send here, where there is no token that it lacks."""
        host = headers.get(b"host", b"").decode("latin-1").lower()
        name = host.rpartition(":")[0] if re.search(r":\d+\Z", host) else host
        if self._hosts and host and name not in self._hosts:  # browsers always name a host
            raise ApiError(403, "wrong_host", "without tokens this server answers only to a name of this machine")
        origin = headers.get(b"origin", b"").decode("latin-1").lower()
        if origin and origin not in self._origins and origin.partition("://")[2] != host:
            raise ApiError(403, "wrong_origin", "web pages of other servers may not use this one; see --allow-origin")


class BodyMiddleware:
    """Refuses bodies that are compressed, too large or too slow: by what is announced, and as they arrive."""

    def __init__(self, app: App, *, settings: ServeSettings, limits: Mapping[str, int]) -> None:
        """Wrap an application. `limits`: bytes of a body of the paths that take files; all others take JSON."""
        self._app, self._limits, self._settings = app, limits, settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or refuse it."""
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD"):
            await self._app(scope, receive, send)
            return
        headers, limit = dict(scope["headers"]), self._limits.get(scope["path"], self._settings.max_body_bytes)
        if (refusal := _check_announced(headers, limit)) is not None:
            # who asked first whether to send the body sends none now
            patient = send if b"expect" in headers else _linger(receive, send)
            await build_error_response(refusal, scope)(scope, receive, patient)
            return
        excess: list[ApiError] = []

        async def send_answer(message: Message) -> None:
            await (_linger(receive, send) if excess else send)(message)

        await self._app(scope, self._limit_body(receive, limit, excess), send_answer)

    def _limit_body(self, receive: Receive, limit: int, excess: list[ApiError]) -> Receive:
        """Return what counts the body. `excess` gets the refusal of one that is too large."""
        size, is_whole = 0, False
        until = time.monotonic() + self._settings.body_seconds

        async def receive_limited() -> Message:
            nonlocal size, is_whole
            if is_whole:
                return await receive()
            try:
                async with asyncio.timeout(max(0.0, until - time.monotonic())):
                    message = await receive()
            except TimeoutError:
                raise ApiError(
                    408, "too_slow", "the body did not arrive in time; send it again", {"connection": "close"}
                ) from None
            size += len(message.get("body", b""))
            is_whole = message["type"] != "http.request" or not message.get("more_body", False)
            if size > limit:
                excess[:] = [] if is_whole else [_refuse_length(limit)]
                raise _refuse_length(limit)
            return message

        return receive_limited


def _linger(receive: Receive, send: Send) -> Send:
    """Return what sends an answer, and reads the rest of the request before it is at its end.

    The connection is closed then. Closed with a part of the body unread it would be reset, and a client that is still
    sending would get an error of its network in place of the answer.
    """

    async def send_patiently(message: Message) -> None:
        if message["type"] != "http.response.body" or message.get("more_body", False):
            await send(message)
            return
        await send({**message, "more_body": True})
        with suppress(TimeoutError):
            async with asyncio.timeout(LINGER_SECONDS):
                while (await receive()).get("more_body", False):
                    pass
        await send({"type": "http.response.body", "body": b""})

    return send_patiently


def _check_announced(headers: Mapping[bytes, bytes], limit: int) -> ApiError | None:
    """Return why a body is refused before any of it is read; None where it is not."""
    length, encoding = headers.get(b"content-length", b""), headers.get(b"content-encoding", b"identity")
    if length.isdigit() and int(length) > limit:
        return _refuse_length(limit)
    if encoding.strip().lower() in (b"", b"identity"):
        return None
    return ApiError(
        415,
        "compressed",
        "the body is compressed, as its header `content-encoding` says, and is not read so; send it as it is",
        {"accept-encoding": "identity"},
    )


def _refuse_length(limit: int) -> ApiError:
    return ApiError(
        413, "too_large", f"the body is over the limit of {limit:,} bytes; send less", {"connection": "close"}
    )
