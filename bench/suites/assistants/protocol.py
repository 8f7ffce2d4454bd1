"""What the Model Context Protocol adds to a call, over each transport, and what its tools cost to read.

SAM 3 is scripted, so that the noise of a network of 50 ms does not hide what a protocol of 5 ms adds.
"""

import asyncio
import base64
import io
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
from mcp import Client, StdioServerParameters
from mcp.server import Server

from agent import Episode, GrammarPlanner, Task
from agent.planners.scripted import ScriptedPlanner
from agent.tools.toolsets import Segment
from bench.harness.tables import Cell, Table
from sam3_tool import Image, Instances, Sam3, ScriptedBackend
from sam3_tool.network.listening import open_listener
from serve.mcp.answers import MaskAnswer
from serve.mcp.images import ImageShelf
from serve.mcp.models import LoadedModel, Models
from serve.mcp.offers import OFFERS
from serve.mcp.runner import Limits, Runner
from serve.mcp.server import build_server
from serve.mcp.transports import HttpOptions, serve_http, serve_stdio
from serve.mcp.workers import start_in_thread

SCENE = Path(__file__).parents[3] / "examples" / "scene.png"
PHRASE = "disc"
STDIO_PROGRAM = "from bench.suites.assistants.protocol import serve_script; serve_script()"
HTTP_PROGRAM = "from bench.suites.assistants.protocol import serve_script; serve_script(over_http=True)"
DIRECT = "the tool called directly, with its overlay"
NOBODY = ScriptedPlanner([])
OVERLAY_SIDE = 1024
AGES = {"auto": "2026-07-28", "legacy": "2025-11-25"}


@dataclass(frozen=True)
class Way:
    """A way to ask for a phrase."""

    name: str
    ask: Callable[[int], Awaitable[int]]
    """Ask in this round, and return the letters of what came back."""


def measure_mcp(*, rounds: int = 15) -> list[Table]:
    """Measure round trips beside the direct call, in turns, and the size of what the server offers."""
    return [asyncio.run(_measure_trips(rounds)), measure_offers()]


def measure_offers() -> Table:
    """Measure the letters of each tool: what a language model reads of it, and all that a client is sent."""
    rows: list[tuple[Cell, ...]] = []
    for offer in OFFERS.values():
        whole = offer.to_definition().model_dump(mode="json", by_alias=True, exclude_none=True)
        read = {name: whole[name] for name in ("name", "description", "inputSchema")}
        rows.append((offer.tool.name, _count_letters(read), _count_letters(whole)))
    rows.append(("all", sum(int(row[1] or 0) for row in rows), sum(int(row[2] or 0) for row in rows)))
    columns = ("tool", "letters that a model reads", "letters with output schema and annotations")
    return Table("mcp-tools", "What the tools cost to read", columns, rows, {})


def build_script() -> Sam3:
    """A SAM 3 that finds four discs in any image of 640 x 480."""
    rows, columns = np.mgrid[:480, :640]
    centres = np.array([(100, 120), (300, 200), (480, 330), (180, 380)])
    masks = np.stack([(columns - x) ** 2 + (rows - y) ** 2 < 70**2 for x, y in centres])
    boxes = np.concatenate([centres - 70, centres + 70], axis=1).astype(np.float32)
    found = Instances(masks, boxes, np.array([0.9, 0.8, 0.7, 0.6], np.float32), 1.0, PHRASE)
    found = Instances.from_rles(found.rles, found.size, boxes=boxes, scores=found.scores, presence=1.0, phrase=PHRASE)
    return Sam3(ScriptedBackend({None: {PHRASE: found}}))


def build_script_server() -> Server[Any]:
    """The server of `sam3-agent mcp` over that SAM 3."""
    models = Models(
        LoadedModel("SAM 3", start_in_thread(build_script)), LoadedModel("planner", start_in_thread(GrammarPlanner))
    )
    shelf = ImageShelf(max_bytes=2**28, idle_seconds=3600)
    return build_server(Runner(models, shelf, None, Limits(max_pixels=10**7, max_bytes=2**24)))


def serve_script(*, over_http: bool = False) -> None:
    """Serve it in this process: over stdin and stdout, or over HTTP at an address that is said on stderr."""
    if not over_http:
        serve_stdio(build_script_server())
        return
    with open_listener("127.0.0.1", 0) as listener:
        options = HttpOptions("127.0.0.1", listener.getsockname()[1])
        print(options.build_url(options.port), file=sys.stderr, flush=True)
        serve_http(build_script_server(), options, listener, max_bytes=2**24)


async def _measure_trips(rounds: int) -> Table:
    image, sam3 = Image.open(SCENE), build_script()
    took: dict[str, list[float]] = {}
    sizes: dict[str, int] = {}
    async with AsyncExitStack() as stack:
        ways = [Way(DIRECT, _build_direct_tool(sam3, image))]
        for connect in (_connect_in_process, _connect_stdio, _connect_http):
            for mode, age in AGES.items():
                client, name = await stack.enter_async_context(connect(mode))
                handle = await _open_image(client)
                ways += [
                    Way(f"{name}, {age}", _build_call(client, handle, "segment")),
                    Way(f"{name}, {age}, `count`", _build_call(client, handle, "count")),
                ]
        for number in range(rounds + 1):
            for way in ways:
                begun = perf_counter()
                sizes[way.name] = await way.ask(number)
                took.setdefault(way.name, []).append(1000 * (perf_counter() - begun))
    return _build_table(took, sizes, rounds)


def _build_table(took: dict[str, list[float]], sizes: dict[str, int], rounds: int) -> Table:
    """The first round warms up and does not count."""
    rows = []
    for name, all_of_it in took.items():
        trips = all_of_it[1:]
        above = [trip - direct for trip, direct in zip(trips, took[DIRECT][1:], strict=True)]
        added = None if name == DIRECT or name.endswith("`count`") else median(above)
        rows.append((name, median(trips), min(trips), max(trips), added, sizes[name]))
    about: dict[str, Cell] = {
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1),
        "rounds": rounds,
        "image": "640 x 480",
        "SAM 3": "scripted",
    }
    columns = (
        *("one phrase, four masks", "median, ms", "least", "most"),
        *("above the direct call, median of differences, ms", "letters of the answer"),
    )
    return Table("mcp", "Round trips over the Model Context Protocol", columns, rows, about)


def _choose_threshold(number: int) -> float:
    """Another one in each round: an equal question would be answered from what was found before."""
    return 0.5 + number / 10_000


def _build_direct_tool(sam3: Sam3, image: Image) -> Callable[[int], Awaitable[int]]:
    """The same work without the protocol: the agent's tool, the overlay, and what is said of the masks."""

    async def ask(number: int) -> int:
        episode = Episode(Task(image, ""))
        found = Segment(phrases=[PHRASE], threshold=_choose_threshold(number)).run(episode, sam3, NOBODY)
        assert found.workspace is not None
        drawn = MaskAnswer(Image(image.pixels), found.workspace, found.text, found.shown or ()).to_result(OVERLAY_SIDE)
        return _count_letters(drawn.model_dump(mode="json", by_alias=True, exclude_none=True))

    return ask


def _build_call(client: Client, handle: str, tool: str) -> Callable[[int], Awaitable[int]]:
    async def ask(number: int) -> int:
        threshold = {"phrases": [PHRASE], "threshold": _choose_threshold(number)}
        answer = await client.call_tool(tool, {"image": handle, **(threshold if tool == "segment" else {"ids": [1]})})
        if answer.is_error:
            raise RuntimeError(str(answer.content[0]))
        return _count_letters(answer.model_dump(mode="json", by_alias=True, exclude_none=True))

    return ask


async def _open_image(client: Client) -> str:
    content = io.BytesIO()
    Image.open(SCENE).to_pil().save(content, "PNG")
    opened = await client.call_tool("open_image", {"data": base64.b64encode(content.getvalue()).decode()})
    handle = str(opened.structured_content["image"])
    await client.call_tool("segment", {"image": handle, "phrases": [PHRASE]})
    return handle


@asynccontextmanager
async def _connect_in_process(mode: str) -> AsyncIterator[tuple[Client, str]]:
    async with Client(build_script_server(), mode=mode) as client:
        yield client, "in process"


@asynccontextmanager
async def _connect_stdio(mode: str) -> AsyncIterator[tuple[Client, str]]:
    parameters = StdioServerParameters(command=sys.executable, args=["-c", STDIO_PROGRAM], env={**os.environ})
    async with Client(parameters, mode=mode) as client:
        yield client, "stdio"


@asynccontextmanager
async def _connect_http(mode: str) -> AsyncIterator[tuple[Client, str]]:
    process = subprocess.Popen([sys.executable, "-c", HTTP_PROGRAM], stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        async with _open_patiently(process.stderr.readline().strip(), mode) as client:
            yield client, "HTTP"
    finally:
        process.terminate()
        process.wait()


@asynccontextmanager
async def _open_patiently(address: str, mode: str) -> AsyncIterator[Client]:
    """Connect once the server listens, which is soon after it has said where."""
    for _ in range(100):
        try:
            _, writer = await asyncio.open_connection(*_split_address(address))
        except OSError:
            await asyncio.sleep(0.1)
        else:
            writer.close()
            break
    async with Client(address, mode=mode) as client:
        yield client


def _split_address(address: str) -> tuple[str, int]:
    host, _, port = address.removeprefix("http://").partition("/")[0].rpartition(":")
    return host, int(port)


def _count_letters(value: Any) -> int:
    return len(json.dumps(value, ensure_ascii=False, separators=(",", ":")))
