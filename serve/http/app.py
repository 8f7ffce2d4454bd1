"""The application: its routes, and what every request passes before them."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

from agent.core.planner import Planner
from sam3_tool import Sam3
from serve.http.errors import add_error_handlers
from serve.http.metrics import Metrics
from serve.http.middleware import AuthMiddleware, BodyMiddleware, RequestMiddleware
from serve.http.routes import health, images, segment
from serve.http.services import BackgroundModel, Services
from serve.http.settings import ServeSettings
from serve.labels import routes as label_studio
from serve.responses import routes as responses


def load_grammar() -> Planner:
    """Return the planner that needs no language model."""
    from agent.planners.loading import load_planner

    return load_planner("grammar")


def create_app(
    settings: ServeSettings,
    sam3: Sam3 | Callable[[], Sam3],
    planner: Callable[[], Planner] = load_grammar,
    *,
    metrics: Metrics | None = None,
) -> FastAPI:
    """Make the application of one server.

    Args:
        settings: Its limits, and who may use it.
        sam3: SAM 3; or a function that loads it, which is called in the background when the server starts.
        planner: Loads the planner, likewise.
        metrics: The numbers of the server, for whoever has them counted already.

    Returns:
        The application. Its `state.services` is what routes share.
    """
    services = Services(
        settings,
        BackgroundModel.from_loaded(sam3) if isinstance(sam3, Sam3) else BackgroundModel(sam3),
        BackgroundModel(planner),
        metrics or Metrics(),
    )

    @asynccontextmanager
    async def run_services(app: FastAPI) -> AsyncIterator[None]:
        services.sam3.start()
        services.planner.start()
        forgetting = asyncio.create_task(services.forget_expired_images())
        yield
        forgetting.cancel()
        services.close()

    app = FastAPI(
        title="sam3-agent",
        version=version("sam3-agent"),
        summary="Ask for something in an image in your own words; get exact instance masks.",
        lifespan=run_services,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.services = services
    for router in (health.router, images.router, segment.router, label_studio.router, responses.router):
        app.include_router(router)
    add_error_handlers(app)
    _add_middleware(app, services)
    return app


def _add_middleware(app: FastAPI, services: Services) -> None:
    """Wrap the routes. What is added last comes first."""
    settings = services.settings
    in_base_64 = 4 * settings.max_file_bytes // 3 + settings.max_body_bytes
    limits = {
        "/v1/images": settings.max_file_bytes,
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
            allow_headers=["authorization", "content-type", "idempotency-key", "if-match", "x-request-id"],
            expose_headers=["x-request-id", "retry-after", "location", "etag"],
        )
    app.add_middleware(RequestMiddleware, metrics=services.metrics, is_draining=lambda: services.draining)
