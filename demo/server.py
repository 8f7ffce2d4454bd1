"""The web server around the page: its address, its password, and how long it keeps what."""

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from threading import Timer
from typing import Any

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")

import gradio as gr
from starlette.middleware import Middleware

from agent.cli.options.segment_options import Options
from demo.actions import Actions
from demo.engine import Engine
from demo.line import AnswerLine
from demo.page.app import WEB, build_page
from demo.sessions import STORE_BYTES, SessionStore
from demo.studio.component import read_web_file
from demo.transport.compression import CompressionMiddleware
from demo.transport.headers import SecurityHeadersMiddleware
from demo.transport.resting import RestingMiddleware
from demo.uploads import Limits
from sam3_tool.network.listening import open_listener

LOADING_DELAY = 3.0
"""Seconds after which models begin to load: loading takes the whole processor, and the first page comes before it."""
MAX_PAGE_STATES = 200
"""Pages whose state gradio keeps at most; see `SessionStore` for their images."""
MIN_FULL_SESSIONS = 4
"""Sessions that may hold as many images as one may have at the same time, whatever the limits are."""

DEFAULT_LIMITS = Limits()

QUEUE_INTERVAL = 600.0
"""Seconds between two looks into gradio's queue, which is always empty: no event of the page waits there.

Gradio looks a thousand times a second, which took 3.5 % of a processor while nobody used the page.
"""


@dataclass(frozen=True)
class ServerOptions:
    """The address of the page, and who may use it."""

    host: str = "127.0.0.1"
    """The address to listen at; 0.0.0.0 for the whole network."""
    port: int = 7860
    """0 for any free port."""
    auth: tuple[str, str] | None = None
    """A user and a password; None lets everybody in who can reach the page."""
    queue: int = 20
    """Queries and clicks that may wait; more are turned away with a sentence."""
    root_path: str = ""
    """Where visitors find the page behind a proxy that takes this part off, e.g. "/sam3"."""


def serve_page(engine: Engine, options: ServerOptions, limits: Limits, *, wait: bool = True) -> tuple[Any, str]:
    """Start the page, and soon after, in the background, its models.

    Args:
        engine: The models.
        options: The address, the password and the queue.
        limits: What a visitor may upload.
        wait: Return once the page has ended, not at once.

    Returns:
        The page, gradio's `Blocks`, and its address.

    Raises:
        OSError: Nobody can listen at this address.
    """
    with open_listener(options.host, options.port) as probe:
        port = int(probe.getsockname()[1])
    page = _build_served_page(engine, limits, options.queue)
    _, address, _ = page.launch(
        server_name=options.host,
        server_port=port,
        auth=options.auth,
        root_path=options.root_path or None,
        share=False,
        quiet=True,
        prevent_thread_lock=True,
        state_session_capacity=MAX_PAGE_STATES,
        **_build_shared_options(limits),
    )
    loading_timer = Timer(LOADING_DELAY, engine.start_loading)
    loading_timer.daemon = True
    loading_timer.start()
    if wait:
        page.block_thread()
    return page, address


def mount_page(
    app: Any,
    path: str,
    *,
    planner: str = "grammar",
    sam3: str | None = None,
    base_url: str | None = None,
    device: str = "auto",
    limits: Limits = DEFAULT_LIMITS,
    queue: int = 20,
) -> Any:
    """Mount the page in an application of your own, beside its other routes.

    Args:
        app: A FastAPI application, which gets the page's routes; who may use them is for it to say.
        path: Where the page is in it, e.g. "/sam3".
        planner: As `sam3-agent demo --planner` takes it.
        sam3: A name of `sam3-agent models`, or a path; None for the embedded one.
        base_url: The server of a language model.
        device: Where SAM 3 runs.
        limits: What a visitor may upload.
        queue: Queries that may wait.

    Returns:
        The application. Models are loaded when the first visitor comes.

    Raises:
        UserError: A planner, a price or a limit that nothing can be made of.

    Example:
        >>> from fastapi import FastAPI
        >>> app = mount_page(FastAPI(), "/sam3")
        >>> [route.path for route in app.routes][-1]
        '/sam3'
    """
    engine = Engine(Options(planner=planner, sam3=sam3, base_url=base_url, device=device))
    _ = engine.made_by  # what cannot be used is said now

    async def mount() -> Any:
        page = _build_served_page(engine, limits, queue)
        return gr.mount_gradio_app(app, page, path=path, **_build_shared_options(limits))

    with ThreadPoolExecutor(1) as thread:  # where no event loop runs, gradio makes some and closes none
        return thread.submit(asyncio.run, mount()).result()


def _build_served_page(engine: Engine, limits: Limits, queue: int) -> Any:
    """The page with what visitors' work needs, not served yet."""
    sessions = SessionStore(max_bytes=max(STORE_BYTES, MIN_FULL_SESSIONS * limits.max_session_bytes))
    line = AnswerLine(limit=queue)
    page = build_page(Actions(engine, sessions, limits, Path(str(files("demo") / "examples")), line))
    page._queue.sleep_when_free = page._queue.progress_update_sleep_when_free = QUEUE_INTERVAL
    return page


def _build_shared_options(limits: Limits) -> dict[str, Any]:
    """How Gradio serves the page, by itself or in another application."""
    return {
        "show_error": False,
        "max_file_size": limits.max_file_bytes,
        "allowed_paths": [],
        "enable_monitoring": False,
        "ssr_mode": False,
        "mcp_server": False,
        "footer_links": [],
        "theme": build_theme(),
        "css_paths": [WEB / f"{name}.css" for name in ("style", "studio", "page", "talk", "album")],
        "app_kwargs": {
            "middleware": [
                Middleware(CompressionMiddleware),
                Middleware(SecurityHeadersMiddleware),
                Middleware(RestingMiddleware, script=read_web_file("resting.js")),
            ],
            "docs_url": None,
            "redoc_url": None,
            "openapi_url": None,
        },
    }


def build_theme() -> Any:
    """Return a theme of greys and one blue, in fonts of the visitor's machine, so that none is fetched."""
    blue, grey = gr.themes.colors.blue, gr.themes.colors.slate
    system = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif"]
    return gr.themes.Base(
        primary_hue=blue,
        secondary_hue=blue,
        neutral_hue=grey,
        radius_size=gr.themes.sizes.radius_lg,
        font=system,
        font_mono=["ui-monospace", "monospace"],
    )
