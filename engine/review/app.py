"""The server of the review: its page, its routes, and what every request passes before them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from importlib.resources import files

from fastapi import FastAPI, Response

from engine.review import routes
from engine.review.services import ReviewServices
from serve.http.errors import add_error_handlers
from serve.http.metrics import Metrics
from serve.http.middleware.asgi import AuthMiddleware, BodyMiddleware, RequestMiddleware

PAGE_FILES = {
    "/": ("engine.review", "index.html", "text/html; charset=utf-8"),
    "/review.js": ("engine.review", "review.js", "text/javascript; charset=utf-8"),
    "/review.css": ("engine.review", "review.css", "text/css; charset=utf-8"),
    "/studio.css": ("demo", "studio.css", "text/css; charset=utf-8"),
    "/icon.svg": ("engine.review", "icon.svg", "image/svg+xml"),
}
"""By path: the package that has the file in its `web`, its name, and its kind.

Nothing in them is secret: whoever loads the page is asked for a token.
"""
PAGE_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self';"
        " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
    "cache-control": "no-cache",
}


def create_app(services: ReviewServices) -> FastAPI:
    """Make the application of one review.

    Args:
        services: What the routes share; SAM 3 is loaded in the background when the server starts.

    Returns:
        The application. Its `state.services` is what routes share.
    """

    @asynccontextmanager
    async def run_services(_: FastAPI) -> AsyncIterator[None]:
        services.sam3.start()
        yield

    app = FastAPI(
        title="sam3-agent engine review",
        version=version("sam3-agent"),
        lifespan=run_services,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
    )
    app.state.services = services
    app.include_router(routes.router)
    for path in PAGE_FILES:
        app.add_api_route(path, build_page_route(path), methods=["GET"], response_class=Response)
    add_error_handlers(app)
    app.add_middleware(BodyMiddleware, settings=services.settings, limits={})
    app.add_middleware(AuthMiddleware, settings=services.settings, open_paths=frozenset(PAGE_FILES))
    app.add_middleware(RequestMiddleware, metrics=Metrics(), is_draining=lambda: services.draining)
    return app


def build_page_route(path: str):  # type: ignore[no-untyped-def]  # FastAPI reads the annotation of what is returned
    """Return a route that answers with a file of the page."""
    package, name, media_type = PAGE_FILES[path]

    def read_file() -> Response:
        content = (files(package) / "web" / name).read_bytes()
        return Response(content, media_type=media_type, headers=PAGE_HEADERS)

    return read_file
