"""A server that ends as balancers want it: it says so first, goes on to listen for a while, and breaks off nothing."""

import asyncio
import logging
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from socket import socket
from types import FrameType
from typing import Any, Protocol

import uvicorn
from starlette.applications import Starlette
from uvicorn.protocols.http.h11_impl import H11Protocol

from sam3_tool.system.interruptions import SIGNALS
from serve.http.settings import ServeSettings

MOST_CONNECTIONS = 10_000
NEEDED_FILES = 128
"""Of weights, logs, jobs, uploads and connections to elsewhere."""
KEEP_ALIVE_SECONDS = 75
"""How long a connection may be unused: longer than the minute after which common balancers give it up themselves."""


def start_logging() -> None:
    """Let this process write its log on stderr, with times, and without what any client can fill it with."""
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)


def count_free_descriptors() -> int:
    """Return how many connections there can be: as many as the system allows files, without those that are needed."""
    try:
        import resource
    except ImportError:  # Windows
        return MOST_CONNECTIONS
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if allowed == resource.RLIM_INFINITY:
        return MOST_CONNECTIONS
    return min(MOST_CONNECTIONS, max(allowed // 4, allowed - NEEDED_FILES))


class TimedProtocol(H11Protocol):
    """Uvicorn's HTTP/1.1, which ends connections whose client does not get as far as a request.

    Where there are as many connections as the system lets this process have, an idle one makes room for each further
    one: else nobody could connect any more as long as somebody holds enough of them.
    """

    def __init__(self, *arguments: Any, head_seconds: float, most: int, **options: Any) -> None:
        """Make the protocol of one connection.

        Args:
            arguments: Of uvicorn's.
            head_seconds: How long the head of a request may take, from the beginning of the connection or from its
                first byte.
            most: How many connections there may be before idle ones are closed.
            options: Of uvicorn's.
        """
        super().__init__(*arguments, **options)
        self._head_seconds, self._most = head_seconds, most
        self._head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Give the first request its time, and make room if there is none."""
        super().connection_made(transport)
        self._head_timer = self.loop.call_later(self._head_seconds, transport.close)
        if len(self.connections) > self._most:
            others = (other for other in self.connections if other is not self and isinstance(other, TimedProtocol))
            if (idle := next((other for other in others if other.is_idle), None)) is not None:
                idle.transport.close()

    @property
    def is_idle(self) -> bool:
        """Whether no request is being answered, and the connection is not about to be closed."""
        is_answered = self.cycle is None or self.cycle.response_complete
        return is_answered and not self.transport.is_closing()

    def data_received(self, data: bytes) -> None:
        """Stop the clock when a request has begun; and start it at the first byte of the next one."""
        former = self.cycle
        if self._head_timer is None and (former is None or former.response_complete):
            self._head_timer = self.loop.call_later(self._head_seconds, self.transport.close)
        super().data_received(data)
        if self.cycle is not former:
            self._stop_clock()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clock."""
        self._stop_clock()
        super().connection_lost(exc)

    def _stop_clock(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None


LAST_REQUESTS_SECONDS = 0.2
"""How long requests may take to arrive on connections that were open when the server stopped listening."""


class Drainable(Protocol):
    """What a server asks its application for, as `state.services`."""

    draining: bool

    @property
    def settings(self) -> ServeSettings:
        """How long it goes on."""

    def find_failure(self) -> BaseException | None:
        """Return why the server cannot go on; None while it can."""


class DrainingServer(uvicorn.Server):
    """Uvicorn's server, which at SIGTERM first lets `/ready` fail, and returns instead of raising the signal again."""

    def __init__(self, app: Starlette) -> None:
        """Make a server of an application, which has `state.services`."""
        self._services: Drainable = app.state.services
        self._stop_at: float | None = None
        settings = self._services.settings
        most = settings.max_connections or count_free_descriptors()
        # which is called like a class
        protocol: Any = partial(TimedProtocol, head_seconds=settings.head_seconds, most=most)
        super().__init__(
            uvicorn.Config(
                app,
                http=protocol,
                ws="none",
                lifespan="on",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_keep_alive=KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=int(settings.grace_seconds),
            )
        )

    def run(self, sockets: list[socket] | None = None) -> None:
        """Serve until a signal, or until a model cannot be loaded.

        Args:
            sockets: Where to listen.

        Raises:
            UserError: A model cannot be loaded.
        """
        super().run(sockets=sockets)
        if (error := self._services.find_failure()) is not None:
            raise error

    async def shutdown(self, sockets: list[socket] | None = None) -> None:
        """Take the connections that wait to be accepted, listen no more, and end when all begun answers are given.

        Uvicorn alone would close the line of waiting connections, and those that have just been opened: their
        requests would be lost.
        """
        if not self.force_exit:
            waiting = [connection for listener in sockets or [] for connection in _accept_waiting(listener)]
            for server in self.servers:
                server.close()
            loop = asyncio.get_running_loop()
            for connection in waiting:
                await loop.connect_accepted_socket(self._make_protocol, connection)
            await asyncio.sleep(LAST_REQUESTS_SECONDS)
        await super().shutdown(sockets)

    def _make_protocol(self) -> asyncio.Protocol:
        protocol: asyncio.Protocol = self.config.http_protocol_class(  # type: ignore[call-arg]
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
        return protocol

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle what asks a process to end as long as the server runs in the main thread, which alone gets signals."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        # what was started by nohup has SIGHUP ignored
        numbers = [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
        original: dict[int, Any] = {number: signal.signal(number, self.handle_exit) for number in numbers}
        try:
            yield
        finally:
            for number, handler in original.items():
                signal.signal(number, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to end; a second signal ends at once.

        Ctrl-C does not wait for balancers: whoever pressed it sits here.
        """
        if self._services.draining:
            self.should_exit = self.force_exit = True
            return
        self._services.draining = True
        wait = 0.0 if sig == signal.SIGINT else self._services.settings.drain_seconds
        self._stop_at = time.monotonic() + wait

    async def on_tick(self, counter: int) -> bool:
        """Return whether to end now. It is asked ten times a second."""
        is_over = self._stop_at is not None and time.monotonic() >= self._stop_at
        self.should_exit = self.should_exit or is_over or self._services.find_failure() is not None
        return await super().on_tick(counter)


def _accept_waiting(listener: socket) -> Iterator[socket]:
    """Yield the connections that wait to be accepted."""
    with suppress(BlockingIOError, ConnectionAbortedError):
        while True:
            yield listener.accept()[0]
