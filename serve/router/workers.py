"""The processes that answer: started, watched, started again when they end, and ended with this one."""

import asyncio
import logging
import multiprocessing
import os
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

import anyio
import httpx2

from sam3_tool.errors import UserError
from serve.router.tasks import EndableTask
from serve.slots import Slot, rank_slots

RunWorker = Callable[[Slot, Path], None]
"""Serves at a Unix socket until SIGTERM. It must pickle, for it is called in a process of its own."""

SOON, KEEP_ALIVE = 5.0, 60.0
"""Seconds: to be connected, and to keep a connection that is not used. The latter is less than the workers' own."""
POLL = 0.25
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
"""Seconds before an ended process is started again; each time twice as long, until it has been ready."""


@dataclass(frozen=True)
class HealthRules:
    """When a process that runs, but answers nothing, is left out, and when it is ended."""

    interval: float = 5.0
    """Seconds between two questions to a process that is ready."""
    deadline: float = 10.0
    """Seconds that it has for an answer. One that has not answered gets no requests until it does."""
    misses: int = 3
    """So many in a row without an answer, and the process is killed and started again."""


DEFAULT_HEALTH = HealthRules()
MAX_SOCKET_PATH = 103
"""Bytes that every system takes as the path of a Unix socket."""

log = logging.getLogger(__name__)
_spawn = multiprocessing.get_context("spawn")  # CUDA and threads survive no fork


class Worker:
    """One process, its socket, and how it is doing. Of one event loop."""

    def __init__(self, slot: Slot, folder: Path, run: RunWorker, health: HealthRules = DEFAULT_HEALTH) -> None:
        self.slot, self._health = slot, health
        self.is_ready = False
        self.inflight = 0
        """Requests that it works at."""
        self.restarts = 0
        self.socket = folder / f"{slot.number}.sock"
        self.transport = httpx2.AsyncHTTPTransport(
            uds=str(self.socket),
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=None, keepalive_expiry=KEEP_ALIVE),
        )
        self._run = run
        self._process: SpawnProcess | None = None
        self._was_ready = False
        """Whether it has been ready since it was started."""
        self._lifeline: Connection | None = None

    async def keep_running(self) -> None:
        """Run the process for ever, starting it again whenever it ends.

        Raises:
            UserError: It ended before it was ready for the first time.
        """
        pause, was_ready = FIRST_PAUSE, False
        while True:
            self._start()
            watching = EndableTask(self._watch_health())
            try:
                code = await self._wait_for_end()
            finally:
                await watching.end()
            pause = FIRST_PAUSE if self._was_ready else min(2 * pause, LONGEST_PAUSE)
            was_ready, self.is_ready = was_ready or self._was_ready, False
            if not was_ready:
                raise UserError(
                    f"process {self.slot.number} ended with exit code {code} before it was ready; see above"
                )
            log.warning("process %d ended with exit code %s; it is started again", self.slot.number, code)
            self.restarts += 1
            await asyncio.sleep(pause)

    def _start(self) -> None:
        self._was_ready = False
        self.socket.unlink(missing_ok=True)
        own_end, its_end = _spawn.Pipe()
        self._process = _spawn.Process(target=_run_child, args=(self._run, self.slot, self.socket, its_end))
        self._process.start()
        its_end.close()
        self._lifeline = own_end  # closed by the system when this process ends, however it ends

    async def _watch_health(self) -> None:
        """Let the process have requests while it answers; kill one that has been ready and says nothing for long."""
        misses = 0
        while misses < self._health.misses or self._process is None:
            await asyncio.sleep(self._health.interval if self.is_ready else POLL)
            try:
                status = (await self.fetch("/ready", seconds=self._health.deadline)).status_code
            except httpx2.TransportError:
                self.is_ready, misses = False, misses + self._was_ready
                continue
            self.is_ready, misses = status == 200, 0
            self._was_ready = self._was_ready or self.is_ready
        log.error("process %d does not answer; it is killed, and started again", self.slot.number)
        self._process.kill()

    async def fetch(
        self,
        path: str,
        *,
        method: str = "GET",
        headers: Sequence[tuple[bytes, bytes]] = (),
        seconds: float = DEFAULT_HEALTH.deadline,
    ) -> httpx2.Response:
        """Ask the process itself for something small.

        Raises:
            TransportError: It cannot be reached, or has not answered within so many seconds.
        """
        try:
            with anyio.fail_after(seconds):
                response = await self.transport.handle_async_request(build_request(method, path, headers))
                try:
                    await response.aread()
                finally:
                    await response.aclose()
        except TimeoutError as error:
            raise httpx2.ReadTimeout(f"process {self.slot.number} does not answer") from error
        return response

    async def _wait_for_end(self) -> int | None:
        assert self._process is not None
        loop, ended = asyncio.get_running_loop(), asyncio.Event()
        sentinel = self._process.sentinel
        loop.add_reader(sentinel, ended.set)
        try:
            await ended.wait()
        finally:
            loop.remove_reader(sentinel)
        self._process.join()
        return self._process.exitcode

    async def stop(self, seconds: float) -> None:
        """End the process: with SIGTERM, and after so many seconds with SIGKILL."""
        await self.transport.aclose()
        process = self._process
        if process is None or process.exitcode is not None:
            return
        process.terminate()
        await asyncio.to_thread(process.join, seconds)
        if process.exitcode is None:
            process.kill()
            await asyncio.to_thread(process.join)


def build_request(
    method: str, path: str, headers: Sequence[tuple[bytes, bytes]] = (), content: "httpx2.AsyncByteStream | bytes" = b""
) -> httpx2.Request:
    """Return a request to a process, for its transport."""
    stream = {"content": content} if isinstance(content, bytes) else {"stream": content}
    timeout = {"connect": SOON, "pool": SOON, "read": None, "write": None}
    return httpx2.Request(
        method, f"http://process{path}", headers=list(headers), extensions={"timeout": timeout}, **stream
    )


class Fleet:
    """All processes, and the folder that they share. Of one event loop."""

    def __init__(
        self, count: int, run: RunWorker, *, parent: Path | None = None, health: HealthRules = DEFAULT_HEALTH
    ) -> None:
        """Prepare processes.

        Args:
            count: How many.
            run: Serves in each of them.
            parent: Where to make the folder that they share; default: the system's temporary folder.
            health: When one that answers nothing is ended.

        Raises:
            UserError: The name of that is too long for sockets.
        """
        self.folder = Path(tempfile.mkdtemp(prefix="sam3-agent-serve-", dir=parent))  # nobody else may enter it
        if len(os.fsencode(self.folder)) + len(f"/{count}.sock") > MAX_SOCKET_PATH:
            self.folder.rmdir()
            raise UserError(f"{self.folder.parent}: too long a name for sockets inside; set TMPDIR to a shorter one")
        self.workers = [Worker(Slot(number, count), self.folder, run, health) for number in range(count)]
        self._watching: asyncio.Task[None] | None = None
        self._telling: set[EndableTask] = set()
        """What is told to processes while nobody waits for it."""

    @property
    def is_ready(self) -> bool:
        """Whether one of them can answer."""
        return any(worker.is_ready for worker in self.workers)

    def find_failure(self) -> BaseException | None:
        """Return why the processes cannot be kept running; None while they can."""
        watching = self._watching
        return watching.exception() if watching is not None and watching.done() and not watching.cancelled() else None

    def start(self) -> None:
        """Start all processes."""

        async def watch() -> None:
            async with asyncio.TaskGroup() as group:
                for worker in self.workers:
                    group.create_task(worker.keep_running())

        self._watching = asyncio.create_task(watch())

    def start_telling(self, work: Coroutine[Any, Any, None]) -> None:
        """Tell a process something while nobody waits for it; it is ended with the processes."""
        telling = EndableTask(work)
        self._telling.add(telling)
        telling.task.add_done_callback(lambda _: self._telling.discard(telling))

    async def stop(self, seconds: float) -> None:
        """End all processes, and remove their folder."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.wait([self._watching])
        await asyncio.gather(*(telling.end() for telling in self._telling))
        await asyncio.gather(*(worker.stop(seconds) for worker in self.workers))
        shutil.rmtree(self.folder, ignore_errors=True)

    def rank_workers(self, key: str | None) -> list[Worker]:
        """Return the processes that can answer, the best first: that which the key belongs to, or the least busy."""
        if key is None:
            return sorted((worker for worker in self.workers if worker.is_ready), key=lambda worker: worker.inflight)
        ranked = (self.workers[number] for number in rank_slots(key, len(self.workers)))
        return [worker for worker in ranked if worker.is_ready]

    def get_owner(self, key: str) -> Worker:
        """Return the process that a key belongs to, whether or not it can answer."""
        return self.workers[rank_slots(key, len(self.workers))[0]]


# --- in the process itself


def _run_child(run: RunWorker, slot: Slot, socket: Path, lifeline: Connection) -> None:
    os.setsid()  # Ctrl-C in the terminal is for the parent, which lets this process finish what it works at
    threading.Thread(target=_end_with_parent, args=(lifeline, socket.parent), daemon=True).start()
    try:
        run(slot, socket)
    except UserError as error:
        print(f"process {slot.number}: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


def _end_with_parent(lifeline: Connection, folder: Path) -> None:
    """End this process when the parent does, even if it was killed."""
    with suppress(EOFError, OSError):
        lifeline.recv()
    shutil.rmtree(folder, ignore_errors=True)
    os.kill(os.getpid(), signal.SIGTERM)
