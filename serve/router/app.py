"""The application behind the address: its own three routes, and all others forwarded."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx2
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route

from serve.http.app import add_middleware
from serve.http.errors import ApiError, add_error_handlers
from serve.http.metrics import CONTENT_TYPE_LATEST, Metrics
from serve.http.settings import ServeSettings
from serve.router.forwarding import Forwarder
from serve.router.metrics import render_metrics
from serve.router.workers import Fleet, Worker


@dataclass(eq=False)
class RouterServices:
    """What the routes share, and what the server asks when it ends."""

    settings: ServeSettings
    fleet: Fleet
    draining: bool = False

    def find_failure(self) -> BaseException | None:
        """Return why the server cannot go on; None while it can."""
        failure = self.fleet.find_failure()
        return failure.exceptions[0] if isinstance(failure, BaseExceptionGroup) else failure


def create_router(settings: ServeSettings, fleet: Fleet) -> Starlette:
    """Make the application in front of several processes.

    Args:
        settings: Who may use it, and what may be sent; the processes have the same.
        fleet: The processes. They are started and ended with the application.
    """
    services = RouterServices(settings, fleet)

    @asynccontextmanager
    async def run_fleet(app: Starlette) -> AsyncIterator[None]:
        fleet.start()
        yield
        await fleet.stop(settings.grace_seconds)

    app = Starlette(
        routes=[
            Route("/health", _check_health),
            Route("/ready", _check_readiness),
            Route("/metrics", _show_metrics),
            Mount("/", Forwarder(fleet)),
        ],
        lifespan=run_fleet,
    )
    app.state.services = services
    add_error_handlers(app)
    add_middleware(app, settings, Metrics(), is_draining=lambda: services.draining)
    return app


async def _check_health(request: Request) -> Response:
    return JSONResponse({"status": "ok"})


async def _check_readiness(request: Request) -> Response:
    services: RouterServices = request.app.state.services
    if services.draining:
        raise ApiError(503, "draining", "this server is about to end", {"retry-after": "1"})
    if not services.fleet.is_ready:
        raise ApiError(503, "loading", "no process is ready yet; try again in some seconds", {"retry-after": "2"})
    ready = sum(worker.is_ready for worker in services.fleet.workers)
    return JSONResponse({"status": "ready", "processes": ready})


async def _show_metrics(request: Request) -> Response:
    fleet: Fleet = request.app.state.services.fleet
    headers = [pair for pair in request.headers.raw if pair[0] in (b"authorization", b"host")]

    async def read_metrics(worker: Worker) -> str | None:
        try:
            return (await worker.fetch("/metrics", headers=headers)).text
        except httpx2.TransportError:
            return None

    ready = [worker for worker in fleet.workers if worker.is_ready]
    texts = await asyncio.gather(*map(read_metrics, ready))
    shown = {worker.slot.number: text for worker, text in zip(ready, texts, strict=True) if text is not None}
    return Response(render_metrics(shown, fleet), media_type=CONTENT_TYPE_LATEST)
