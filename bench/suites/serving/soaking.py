"""Visits without end to a server, to see whether its memory stays flat."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

import httpx2
import torch

from bench.harness.machine import describe_device
from bench.harness.tables import Cell, Table
from bench.suites.serving.load import Outcomes, encode_jpeg, open_client
from bench.suites.serving.servers import Server, start_embedded
from bench.suites.soak import SAMPLES, compute_growth
from sam3_tool.synthetic.scenes import draw_scene

VISITORS, SCENES = 4, 40
SIDE = 192
MOST_GROWTH = 32.0
"""MiB of resident memory, which also has the gaps that threads leave in the allocator's arenas."""
ROOM = ("--image-memory", "4", "--image-seconds", "20")
"""So little that what is kept is forgotten within seconds, and only a leak goes on growing."""
EXPECTED = frozenset({"200", "201", "204", "404", "422", "LeftEarly"})


@dataclass(frozen=True)
class ServerSoak:
    """The result of a soak."""

    table: Table
    growth: float
    """MiB, from the first half of the settled samples to the second."""
    unexpected: dict[str, int]
    """Endings of requests that should not have been."""

    @property
    def complaint(self) -> str:
        """A sentence on what is wrong; empty if nothing is."""
        if self.unexpected:
            return f"requests ended as none should: {self.unexpected}"
        if self.growth > MOST_GROWTH:
            return f"the server grew by {self.growth:.0f} MiB once it had settled, expected {MOST_GROWTH:.0f} at most"
        return ""


def measure_server_soak(*, seconds: float, samples: int = SAMPLES) -> ServerSoak:
    """Measure the memory of a server over time, while visitors come and go."""
    files = [encode_jpeg(draw_scene(number, size=(SIDE, SIDE)).pixels) for number in range(SCENES)]
    rows: list[Sequence[Cell]] = []
    outcomes = Outcomes()
    with start_embedded(*ROOM) as server:
        asyncio.run(_sample_memory(server, files, outcomes, rows, seconds, samples))
    growth = compute_growth([float(row[2] or 0) for row in rows])
    unexpected = {name: count for name, count in outcomes.endings.items() if name not in EXPECTED}
    about: dict[str, Cell] = {"device": describe_device(torch.device("cpu")), "visitors at a time": VISITORS}
    about |= {"growth once settled, MiB": growth, "unexpected endings": sum(unexpected.values())}
    columns = ("after, s", "requests", "resident, MiB")
    return ServerSoak(Table("serve-soak", "A server's memory over time", columns, rows, about), growth, unexpected)


async def _sample_memory(
    server: Server,
    files: Sequence[bytes],
    outcomes: Outcomes,
    rows: list[Sequence[Cell]],
    seconds: float,
    samples: int,
) -> None:
    began = time.perf_counter()
    async with open_client(server.url) as client:

        async def visit_until(place: int, until: float) -> None:
            while time.perf_counter() < until:
                await _visit(client, files[(place + len(outcomes.seconds)) % len(files)], outcomes)

        for sample in range(1, samples + 1):
            until = began + seconds * sample / samples
            await asyncio.gather(*(visit_until(place, until) for place in range(VISITORS)))
            asked = sum(outcomes.endings.values())
            rows.append((time.perf_counter() - began, asked, server.read_resident_mib()))


async def _visit(client: httpx2.AsyncClient, content: bytes, outcomes: Outcomes) -> None:
    """Do everything that a client may do: ask, click, talk, make a mistake, and leave before the answer."""
    response = await client.post("/v1/images", content=content)
    outcomes.endings[str(response.status_code)] += 1
    key = response.json()["image"]
    asked = {"image": key, "phrases": ["cat", "red circle"]}
    await outcomes.observe(client.post("/v1/segment", json=asked))
    await outcomes.observe(client.post("/v1/refine", json={"image": key, "points": [[90, 90]]}))
    await outcomes.observe(client.post("/v1/episodes", json={"image": key, "query": "the largest object"}))
    made = await client.post("/v1/conversations", json={"image": key})
    outcomes.endings[str(made.status_code)] += 1
    place = made.headers["location"]
    await outcomes.observe(client.post(f"{place}/say", json={"query": "all objects"}))
    await outcomes.observe(client.post(f"{place}/click", json={"x": 90, "y": 90}))
    await outcomes.observe(client.delete(place))
    await outcomes.observe(client.post("/v1/segment", json={"image": "gone", "phrases": ["cat"]}))
    await outcomes.observe(client.post("/v1/segment", json={"image": key, "phrases": ["cat"], "threshold": 7}))
    try:
        await client.post("/v1/segment", json=asked, timeout=0.005)
    except httpx2.TimeoutException:
        outcomes.endings["LeftEarly"] += 1
    else:
        outcomes.endings["200"] += 1
