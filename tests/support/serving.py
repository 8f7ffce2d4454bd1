"""A server's tenants, and image files for it."""

import threading
from collections.abc import Iterator
from concurrent.futures import wait
from contextlib import contextmanager
from io import BytesIO
from typing import Any

import PIL.Image
from fastapi import FastAPI

from sam3_tool.network.listening import open_listener
from serve.http.middleware.drain import DrainingServer
from serve.http.services import Services

ANNA, BEN = "anna-has-a-long-token", "ben-has-another-token"
HEIGHT, WIDTH = 48, 64
"""Of the images that are uploaded, and of the masks that are scripted."""


def write_image(
    size: tuple[int, int] = (WIDTH, HEIGHT), colour: str = "white", kind: str = "PNG", **options: Any
) -> bytes:
    """Return an image file of one colour."""
    content = BytesIO()
    PIL.Image.new("RGB", size, colour).save(content, kind, **options)
    return content.getvalue()


def as_tenant(token: str) -> dict[str, str]:
    """Return the headers of somebody with this token."""
    return {"authorization": f"Bearer {token}"}


@contextmanager
def serve_in_thread(app: FastAPI) -> Iterator[str]:
    """Let an application listen on a free port of this machine, as the program does, and give its address."""
    server = DrainingServer(app)
    listener = open_listener("127.0.0.1", 0)
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    try:
        while not server.started:
            thread.join(0.01)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        _await_loading(app)


def _await_loading(app: FastAPI) -> None:
    """A thread that is in PyTorch's code when the tests' own process ends would make it abort."""
    services = app.state.services
    if isinstance(services, Services) and services.sam3.future.running():
        wait([services.sam3.future])
