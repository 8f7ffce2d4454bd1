"""Episodes step by step, each step in a thread, for as long as somebody waits for the answer."""

import asyncio
import logging
import re
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import dataclass, replace
from threading import Event

import anyio
from fastapi import Request

from agent.core.episode import Episode
from agent.core.errors import PlannerError
from agent.core.planner import Planner
from sam3_tool import Sam3
from serve.http.errors import CLIENT_LEFT, ApiError
from serve.http.middleware.admission import Admission
from serve.http.middleware.auth import Tenant
from serve.talk.planners import PlannerBook, build_planner_error

log = logging.getLogger(__name__)

Begin = Callable[[Planner, Sam3], Iterator[Episode]]
"""Begins an episode, e.g. by `agent.watch`."""
Steps = AsyncGenerator[Episode | None, None]
"""The episode after each step; None whenever it has taken a while since the last one."""

ADDRESS = re.compile(r"https?://[^\s'\"`,;)]+")
LOOK_SECONDS = 1.0
"""How often is looked whether a client is still there that gets no stream."""


@dataclass(frozen=True, eq=False)
class Run:
    """An episode that is to be run."""

    begin: Begin
    sam3: Sam3
    """In the name of whoever asks; what has not begun is not computed once `cancel` is set."""
    cancel: Event
    planner: str | None = None
    """The name of one that is allowed; None = the default."""
    is_video: bool = False
    """Whether it is about a video."""
    interval: float = LOOK_SECONDS
    """Seconds after which None is yielded while a step takes longer."""


@dataclass(frozen=True, eq=False)
class StepRunner:
    """Takes the steps of episodes, of so many at the same time."""

    planners: PlannerBook
    gate: Admission
    """For episodes that somebody waits for."""
    pool: ThreadPoolExecutor
    """As many threads as episodes can be under way: no step waits for one."""
    waiting_seconds: float
    """How long an episode may wait for its turn."""

    async def take_steps_in_turn(self, run: Run, tenant: Tenant) -> Steps:
        """Take the steps of an episode once it is its turn. `take_steps` says more.

        Raises:
            ApiError: Too many episodes are under way.
        """
        deadline = time.monotonic() + self.waiting_seconds
        async with self.gate.hold_place(tenant), self.gate.enter(deadline), aclosing(self.take_steps(run)) as steps:
            async for episode in steps:
                yield episode

    async def take_steps(self, run: Run) -> Steps:
        """Take the steps of an episode. Closing the generator ends it after the step that is under way.

        Yields:
            The episode after each step. The last one has an outcome.

        Raises:
            ApiError: The planner cannot be used.
            UserError: SAM 3 cannot even begin.
        """
        episodes = self._iterate(run)
        loop = asyncio.get_running_loop()
        while True:
            step = loop.run_in_executor(self.pool, next, episodes, None)
            async with aclosing(_wait_for(step, run.cancel, run.interval)) as ticks:
                async for _ in ticks:
                    yield None
            episode = step.result()
            if episode is None:
                return
            yield hide_addresses(episode) if episode.outcome == "failed" else episode

    def _iterate(self, run: Run) -> Iterator[Episode]:
        """Load the planner with the first step, in its thread; say what clients may know of a planner's failure."""
        try:
            yield from run.begin(self.planners.get_planner(run.planner, is_video=run.is_video), run.sam3)
        except PlannerError as error:
            log.warning("a planner cannot go on: %s", error)
            raise build_planner_error() from error


def hide_addresses(episode: Episode) -> Episode:
    """Return a failed episode whose last text names no server: where a language model runs is not for clients."""
    *steps, last = episode.steps
    text = ADDRESS.sub("its server", last.observation.text)
    return replace(episode, steps=(*steps, replace(last, observation=replace(last.observation, text=text))))


async def _wait_for(
    step: "asyncio.Future[Episode | None]", cancel: Event, interval: float
) -> AsyncGenerator[None, None]:
    """Wait for the end of a step, and yield whenever that takes so long.

    Who stops to wait sets `cancel`, and is held until the thread has ended: it still counts as work.
    """
    try:
        while not step.done():
            await asyncio.wait({step}, timeout=interval)
            if not step.done():
                yield
    finally:
        if not step.done():
            cancel.set()
            await _outlast(step)


async def _outlast(step: "asyncio.Future[Episode | None]") -> None:
    """Wait for a thread though the waiting was cancelled: what it says comes too late for anybody."""
    with anyio.CancelScope(shield=True):
        await asyncio.wait({step})
    step.exception()  # or asyncio would report that nobody asked for it


async def take_last(steps: Steps, request: Request | None = None) -> Episode:
    """Take all steps, and return the finished episode.

    Args:
        steps: Of the episode.
        request: Of the client who waits for it; None where nobody could leave.

    Raises:
        ApiError: The client has left, or as `StepRunner.take_steps` says.
    """
    async with aclosing(steps):
        async for episode in steps:
            if episode is not None and episode.outcome is not None:
                return episode
            if request is not None and await request.is_disconnected():
                break
    raise ApiError(CLIENT_LEFT, "client_left", "the client left before the answer")
