"""Works at jobs: image by image, tenants in turn, and goes on after a restart."""

import asyncio
import json
import logging
import sqlite3
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from sam3_tool.errors import OverloadedError, mask_passwords
from sam3_tool.network.fetching import UrlFetcher
from serve.http.errors import ApiError, to_api_error
from serve.talk.jobs import Job, JobStore
from serve.talk.schemas import ErrorBody
from serve.talk.webhooks import deliver_message, parse_secret

log = logging.getLogger(__name__)

SLICE = 16
"""Images of a job that are worked at before another job has its turn."""
RETRY_SECONDS = 5.0
"""Before a job is tried again whose row could not be written, e.g. on a full disk."""
BUSY_CODES = ("busy", "tenant_busy", "loading")
"""An image that is refused so is tried again after a while."""
BUSY_TRIES = 60
BUSY_SECONDS = 1.0

Answer = TypeVar("Answer")
Ask = Callable[[Job, int], Awaitable[str]]
"""Answers one image of a job: returns the result as JSON, or raises what is to be its error."""


@dataclass(eq=False)
class JobRunner:
    """Works at the jobs of a store, a few at the same time. Of one event loop."""

    store: JobStore
    ask: Ask
    fetcher: UrlFetcher
    """Sends webhooks."""
    workers: int
    pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "jobs"))
    """The one thread that asks the store."""
    _tasks: set["asyncio.Task[None]"] = field(default_factory=set)
    _held: dict[str, str] = field(default_factory=dict)
    """Jobs that are worked at, and their tenants."""
    _turns: dict[str, int] = field(default_factory=dict)
    """When each tenant had its latest turn."""
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def running(self) -> int:
        """Jobs that are worked at."""
        return len(self._held)

    async def start(self) -> None:
        """Take up what was left, and begin to work."""
        for job_id in await self.call(self.store.take_up):
            log.warning("the job %s is interrupted: it needs uploads again", job_id)
        for job in await self.call(self.store.list_webhooks):
            self._keep_task(self._tell_end(job))
        for _ in range(self.workers):
            self._keep_task(self._work())

    async def stop(self) -> None:
        """Stop to work. Images that are under way are done again after the restart."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.pool.shutdown()
        self.store.close()

    async def call(self, function: Callable[[], Answer]) -> Answer:
        """Ask the store something, in its thread."""
        return await asyncio.get_running_loop().run_in_executor(self.pool, function)

    def notify(self) -> None:
        """Say that there may be something to do."""
        self._news.set()

    def tell_end_of(self, job: Job) -> None:
        """Send the webhook of a job that has ended, if it has one."""
        if job.request.webhook is not None:
            self._keep_task(self._tell_end(job))

    def _keep_task(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _work(self) -> None:
        while True:
            try:
                job = await self._choose_job()
                try:
                    await self._work_at(job)
                finally:
                    del self._held[job.id]
                    self.notify()
            except sqlite3.Error as error:
                log.error("the jobs cannot be written (%s); they go on as soon as that can be done", error)
                await asyncio.sleep(RETRY_SECONDS)
            except Exception:
                log.exception("a worker at jobs failed; it goes on")
                await asyncio.sleep(RETRY_SECONDS)

    async def _choose_job(self) -> Job:
        """Wait for a job that nobody works at, of the tenant that has waited longest for its turn."""
        while True:
            self._news.clear()
            waiting = await self.call(lambda: self.store.list_waiting([*self._held]))
            # another worker may have chosen one meanwhile
            free = {tenant: job_id for tenant, job_id in waiting.items() if job_id not in self._held}
            if not free:
                await self._news.wait()
                continue
            tenant = min(free, key=lambda name: self._turns.get(name, 0))
            self._turns[tenant] = 1 + max(self._turns.values(), default=0)
            self._held[free[tenant]] = tenant
            job = await self.call(partial(self.store.begin, free[tenant]))
            if job is not None:
                return job
            del self._held[free[tenant]]

    async def _work_at(self, job: Job) -> None:
        places = await self.call(lambda: self.store.find_missing(job, SLICE))
        for place in places:
            if not await self._answer_place(job, place):
                return  # it was cancelled
        if len(places) < SLICE and await self.call(lambda: self.store.finish(job)):
            self.tell_end_of(job)

    async def _answer_place(self, job: Job, place: int) -> bool:
        named, kind = job.request.subjects[place], "video" if job.request.videos else "image"
        row = {"index": place, kind: named if isinstance(named, str) else mask_passwords(named.url)}
        head = json.dumps(row)[:-1]
        try:
            result = await self._ask_patiently(job, place)
        except Exception as error:
            told = to_api_error(error, job.id)
            body = ErrorBody(code=told.code, message=told.message)
            line = f'{head}, "result": null, "error": {body.model_dump_json()}}}'
            write = partial(self.store.write_line, job, place, line, code=told.code, message=told.message)
            return await self.call(write)
        line = f'{head}, "result": {result}, "error": null}}'
        return await self.call(lambda: self.store.write_line(job, place, line))

    async def _ask_patiently(self, job: Job, place: int) -> str:
        """Answer one image; a server that is only busy is asked again for a while."""
        for _ in range(BUSY_TRIES):
            try:
                return await self.ask(job, place)
            except OverloadedError:
                pass
            except ApiError as error:
                if error.code not in BUSY_CODES:
                    raise
            await asyncio.sleep(BUSY_SECONDS)
        return await self.ask(job, place)

    async def _tell_end(self, job: Job) -> None:
        webhook = job.request.webhook
        if webhook is None:
            return
        status = await self.call(lambda: self.store.describe(job.tenant, job.id))
        message_id = f"{job.id}.{status.ended or 0:.0f}"
        secret = parse_secret(webhook.secret)
        failure = await deliver_message(self.fetcher, webhook.url, secret, message_id, status.model_dump(mode="json"))
        await self.call(lambda: self.store.mark_webhook(job.id, failure))
