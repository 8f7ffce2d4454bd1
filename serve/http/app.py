"""The application: its routes, and what every request passes before them."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.middleware.cors import CORSMiddleware

from sam3_tool import Sam3
from serve.http.errors import add_error_handlers
from serve.http.images import FORGETTING_SECONDS
from serve.http.metrics import Metrics
from serve.http.middleware.asgi import AuthMiddleware, BodyMiddleware, RequestMiddleware
from serve.http.middleware.targets import TargetMiddleware
from serve.http.routes import conversations, episodes, health, images, jobs, segment
from serve.http.services import BackgroundModel, Services
from serve.http.settings import ServeSettings
from serve.labels import routes as label_studio
from serve.responses import routes as responses
from serve.talk.planners import PlannerBook
from serve.talk.schemas import ErrorAnswer
from serve.talk.talk import Talk
from serve.videos import routes as videos

ERROR_RESPONSES: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorAnswer, "description": "The request failed."} for status in (422, "default")
}
"""What the OpenAPI document says of errors; 422 is named too, for the framework would tell of another shape."""


def create_app(
    settings: ServeSettings,
    sam3: Sam3 | Callable[[], Sam3],
    planners: PlannerBook | None = None,
    *,
    metrics: Metrics | None = None,
) -> FastAPI:
    """Make the application of one server.

    Args:
        settings: Its limits, and who may use it.
        sam3: SAM 3; or a function that loads it, which is called in the background when the server starts.
        planners: Those that a request may choose; the first one is loaded likewise. Default: the grammar.
        metrics: The numbers of the server, for whoever has them counted already.

    Returns:
        The application. Its `state.services` is what routes share.
    """
    planners = planners or PlannerBook(["grammar"])
    services = Services(
        settings,
        BackgroundModel.from_loaded(sam3) if isinstance(sam3, Sam3) else BackgroundModel(sam3),
        BackgroundModel(planners.load_default),
        metrics or Metrics(),
    )
    talk = Talk(services, planners)

    @asynccontextmanager
    async def run_services(app: FastAPI) -> AsyncIterator[None]:
        services.sam3.start()
        services.planner.start()
        forgetting = asyncio.create_task(_forget_expired(services, talk))
        await talk.start()
        yield
        forgetting.cancel()
        await talk.stop()
        services.close()

    app = FastAPI(
        title="sam3-agent",
        version=version("sam3-agent"),
        summary="Ask for something in an image in your own words; get exact instance masks.",
        lifespan=run_services,
        docs_url=None,  # its page runs a script from another server
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.services, app.state.talk = services, talk
    for router in (health, images, videos, segment, episodes, conversations, jobs, label_studio, responses):
        app.include_router(router.router, responses=ERROR_RESPONSES)
    add_error_handlers(app)
    add_middleware(app, settings, services.metrics, is_draining=lambda: services.draining)
    return app


async def _forget_expired(services: Services, talk: Talk) -> None:
    """Forget what is not used any more, every minute, until cancelled."""
    while True:
        await asyncio.sleep(min(FORGETTING_SECONDS, services.settings.image_seconds))
        services.images.drop_expired()
        await asyncio.to_thread(services.videos.drop_expired)
        await talk.drop_expired()


def add_middleware(
    app: Starlette, settings: ServeSettings, metrics: Metrics, *, is_draining: Callable[[], bool]
) -> None:
    """Wrap an application in what every request passes. What is added last comes first."""
    in_base_64 = 4 * settings.max_file_bytes // 3 + settings.max_body_bytes
    limits = {
        "/v1/images": settings.max_file_bytes,
        "/v1/videos": settings.max_file_bytes,
        "/v1/responses": in_base_64,
        "/label-studio/predict": settings.max_file_bytes,
    }
    app.add_middleware(BodyMiddleware, settings=settings, limits=limits)
    app.add_middleware(AuthMiddleware, settings=settings)
    if settings.origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(settings.origins),
            allow_methods=["GET", "HEAD", "POST", "DELETE"],
            allow_headers=["authorization", "content-type", "idempotency-key", "if-match", "x-request-id", "x-timeout"],
            expose_headers=["x-request-id", "retry-after", "location", "etag"],
        )
    app.add_middleware(
        RequestMiddleware,
        metrics=metrics,
        is_draining=is_draining,
        answer_seconds=settings.answer_seconds,
        numbers_answers=settings.numbers_answers,
    )
    app.add_middleware(TargetMiddleware)
