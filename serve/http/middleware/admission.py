"""How many requests may be worked on, how many may wait, and when the others are told to come back."""

import asyncio
import math
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from serve.http.errors import ApiError
from serve.http.middleware.auth import Tenant

_NEW_SHARE = 0.1
"""Of a request in the mean of how long they take."""


class Admission:
    """A gate: so many requests are inside, so many wait, and each tenant has a part of both. Of one event loop."""

    def __init__(self, *, inflight: int, waiting: int, tenants: int = 1, seconds: float = 0.1) -> None:
        """Open the gate.

        Args:
            inflight: Requests that may be inside at the same time.
            waiting: Requests that may wait.
            tenants: How many there are. Where there are several, each may have half of all places by default.
            seconds: What a request is taken to last before any has ended.
        """
        self._room = asyncio.Semaphore(inflight)
        self._inflight, self._places = inflight, inflight + waiting
        self._fair_share = self._places if tenants < 2 else max(1, self._places // 2)
        self._seconds = seconds
        self._by_tenant: Counter[str] = Counter()
        self.held = 0
        """Places that are taken, inside and in the line."""
        self.inside = 0
        """Requests inside."""

    @property
    def waiting(self) -> int:
        """Requests that are not inside yet."""
        return self.held - self.inside

    @asynccontextmanager
    async def hold_place(self, tenant: Tenant) -> AsyncIterator[None]:
        """Take a place inside or in the line, without waiting for anything.

        Raises:
            ApiError: All places are taken, or all of this tenant.
        """
        share = self._fair_share if tenant.max_requests is None else tenant.max_requests
        if self.held >= self._places:
            raise self._refuse("busy", f"the server is busy: {self.waiting} requests wait")
        if self._by_tenant[tenant.name] >= share:
            raise self._refuse("tenant_busy", f"{share} of your requests are being answered or wait, and no more may")
        self.held += 1
        self._by_tenant[tenant.name] += 1
        try:
            yield
        finally:
            self.held -= 1
            self._by_tenant[tenant.name] -= 1
            if not self._by_tenant[tenant.name]:
                del self._by_tenant[tenant.name]

    @asynccontextmanager
    async def enter(self, deadline: float) -> AsyncIterator[float]:
        """Wait for room inside, and yield the seconds that took.

        Args:
            deadline: When to give up, in seconds of `time.monotonic`.

        Raises:
            ApiError: The deadline has passed.
        """
        arrived = time.monotonic()
        try:
            if self._room.locked():
                async with asyncio.timeout(max(0.0, deadline - arrived)):
                    await self._room.acquire()
            else:
                await self._room.acquire()  # which is at once
        except TimeoutError:
            raise ApiError(504, "deadline", "the request waited too long and was given up; try again later") from None
        began = time.monotonic()
        self.inside += 1
        try:
            yield began - arrived
        finally:
            self.inside -= 1
            self._room.release()
            self._seconds += _NEW_SHARE * (time.monotonic() - began - self._seconds)

    def _refuse(self, code: str, why: str) -> ApiError:
        seconds = max(1, math.ceil(self._seconds * self.waiting / self._inflight))
        return ApiError(429, code, f"{why}; come back in {seconds} s", {"retry-after": str(seconds)})
