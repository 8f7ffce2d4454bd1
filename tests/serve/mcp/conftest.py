"""A server over scripted masks, and an image file that an assistant may send."""

import asyncio
import base64
import io
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import numpy as np
import PIL.Image
import pytest
from mcp import Client
from mcp.server import Server

from agent import GrammarPlanner, Planner
from sam3_tool import Instances, Sam3, ScriptedBackend
from serve.mcp.folder import Folder
from serve.mcp.images import ImageShelf
from serve.mcp.models import LoadedModel, Models
from serve.mcp.runner import Limits, Runner
from serve.mcp.server import build_server
from serve.mcp.workers import start_in_thread

MIB = 2**20
SIZE = (60, 80)
"""Height and width of the image."""


def make_cups() -> Instances:
    """Three squares of 10, 14 and 18 pixels, from left to right, found best first."""
    masks = np.zeros((3, *SIZE), bool)
    boxes = np.array([[4, 4, 14, 14], [30, 20, 44, 34], [55, 30, 73, 48]], np.float32)
    for mask, (x0, y0, x1, y1) in zip(masks, boxes.astype(int), strict=True):
        mask[y0:y1, x0:x1] = True
    return Instances(masks, boxes, np.array([0.9, 0.8, 0.7], np.float32), 0.95, "cup")


def encode_png(seed: int = 0) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 255, (*SIZE, 3), np.uint8)
    content = io.BytesIO()
    PIL.Image.fromarray(pixels).save(content, "PNG")
    return content.getvalue()


def build_runner(
    *,
    folder: Folder | None = None,
    load_sam3: Callable[[], Sam3] | None = None,
    planner: Planner | None = None,
    max_bytes: int = 4 * MIB,
    image_memory: int = 64 * MIB,
    overlay_side: int = 1024,
) -> Runner:
    sam3 = start_in_thread(load_sam3 or (lambda: Sam3(ScriptedBackend({None: {"cup": make_cups()}}))))
    models = Models(
        LoadedModel("SAM 3", sam3), LoadedModel("the planner", start_in_thread(lambda: planner or GrammarPlanner()))
    )
    shelf = ImageShelf(max_bytes=image_memory, idle_seconds=600)
    return Runner(models, shelf, folder, Limits(10**6, max_bytes, overlay_side))


@pytest.fixture
def png() -> str:
    """An image file in base64."""
    return base64.b64encode(encode_png()).decode()


@pytest.fixture
def server() -> Server[Any]:
    return build_server(build_runner())


def list_steps(reports: Sequence[str]) -> list[str]:
    """The tools of the steps that were reported; not what a busy machine says while it waits, 'thinking: 2 s'."""
    return [text.partition(":")[0] for text in reports if not text.startswith(("loading", "thinking", "drawing"))]


def drive(server: Server[Any], story: Callable[[Client], Coroutine[Any, Any, Any]], **options: Any) -> Any:
    """Let the official client tell a story in this process."""

    async def connect() -> Any:
        async with Client(server, **options) as client:
            return await story(client)

    return asyncio.run(connect())
