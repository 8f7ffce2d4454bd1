"""Clients of a server: so many at a time, or so many a second, and what became of their requests."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

import httpx2
import numpy as np
import PIL.Image

Ask = Callable[[httpx2.AsyncClient, int], Awaitable[httpx2.Response]]
"""Makes the request of this number."""


@dataclass
class Outcomes:
    """What became of requests."""

    endings: Counter[str] = field(default_factory=Counter)
    """Status, or the name of the error of a request without a whole answer -> how many."""
    seconds: list[float] = field(default_factory=list)
    """Of those that were answered with 200."""

    def get_percentile(self, percent: float) -> float:
        """Return the seconds within which so many per cent were answered."""
        return float(np.percentile(self.seconds, percent)) if self.seconds else 0.0

    async def observe(self, request: Awaitable[httpx2.Response]) -> int:
        """Wait for a request, and keep what became of it.

        Returns:
            Its status; 0 where there was no whole answer.
        """
        began = time.perf_counter()
        try:
            response = await request
        except httpx2.TransportError as error:
            self.endings[type(error).__name__] += 1
            return 0
        self.endings[str(response.status_code)] += 1
        if response.status_code == 200:
            self.seconds.append(time.perf_counter() - began)
        return response.status_code


def open_client(url: str) -> httpx2.AsyncClient:
    """Return a client with as many connections as it needs."""
    return httpx2.AsyncClient(
        base_url=url, timeout=120.0, limits=httpx2.Limits(max_connections=None, max_keepalive_connections=None)
    )


def encode_jpeg(pixels: np.ndarray) -> bytes:
    """Return a JPEG file of uint8 (H, W, 3)."""
    content = BytesIO()
    PIL.Image.fromarray(pixels).save(content, "JPEG", quality=90)
    return content.getvalue()


async def upload_images(client: httpx2.AsyncClient, files: Sequence[bytes]) -> list[str]:
    """Upload image files, and return their keys."""
    keys = []
    for content in files:
        response = await client.post("/v1/images", content=content)
        keys.append(str(response.raise_for_status().json()["image"]))
    return keys


def ask_phrase(key: str, phrase: str, **more: Any) -> Ask:
    """Return a request for one phrase about one image."""
    body = {"image": key, "phrases": [phrase], **more}
    return lambda client, number: client.post("/v1/segment", json=body)


async def run_clients(url: str, ask: Ask, *, clients: int, requests: int) -> Outcomes:
    """Let several clients ask, each its next request when it has the answer to the last.

    Args:
        url: Of the server.
        ask: Makes a request.
        clients: How many at a time.
        requests: How many each of them makes.
    """
    outcomes = Outcomes()
    async with open_client(url) as client:

        async def ask_all(first: int) -> None:
            for number in range(first, first + requests):
                await outcomes.observe(ask(client, number))

        await asyncio.gather(*(ask_all(place * requests) for place in range(clients)))
    return outcomes


async def run_arrivals(url: str, ask: Ask, *, rate: float, seconds: float) -> Outcomes:
    """Make requests at a constant rate, whether or not the earlier ones are answered.

    Args:
        url: Of the server.
        ask: Makes a request.
        rate: Requests a second.
        seconds: How long.
    """
    outcomes, began = Outcomes(), time.perf_counter()
    async with open_client(url) as client, asyncio.TaskGroup() as group:
        for number in range(round(rate * seconds)):
            await asyncio.sleep(max(0.0, began + number / rate - time.perf_counter()))
            group.create_task(outcomes.observe(ask(client, number)))
    return outcomes
