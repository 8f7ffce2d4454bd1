"""Blocking work in threads that never keep the server from ending, with reports to the client that waits."""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from threading import Thread
from typing import TypeVar

Result = TypeVar("Result")
Report = Callable[[str], Awaitable[None]]
"""Tells the client how far a call has come."""
REPORT_SECONDS = 2.0
"""Between two reports on what takes long: common clients give up when they hear nothing for a minute."""


def start_in_thread(work: Callable[[], Result]) -> "Future[Result]":
    """Begin the work in a thread that ends with the process, however far it is, and return at once."""
    future: Future[Result] = Future()
    future.set_running_or_notify_cancel()  # so that whoever gives up waiting does not cancel it for all others

    def run_work() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # `Future.result` raises it where it is waited for
            future.set_exception(error)

    Thread(target=run_work, daemon=True).start()
    return future


async def wait_for_result(future: "Future[Result]", report: Report, text: str) -> Result:
    """Wait for a future of a thread, and report the text and the seconds now and then."""
    waiting, begun = asyncio.wrap_future(future), asyncio.get_running_loop().time()
    # nobody may be left to hear of its error
    waiting.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
    while not (await asyncio.wait({waiting}, timeout=REPORT_SECONDS))[0]:
        await report(f"{text}: {asyncio.get_running_loop().time() - begun:.0f} s")
    return waiting.result()


class Workers:
    """As many threads at a time as there is memory for their work."""

    def __init__(self, limit: int) -> None:
        self._free = asyncio.Semaphore(limit)

    async def run(self, work: Callable[[], Result], report: Report, text: str) -> Result:
        """Do the work in a thread.

        When the call is cancelled, it ends at once. The thread ends with its work, and counts until then.
        """
        await self._free.acquire()
        future = start_in_thread(work)
        loop = asyncio.get_running_loop()
        future.add_done_callback(lambda _: None if loop.is_closed() else loop.call_soon_threadsafe(self._free.release))
        return await wait_for_result(future, report, text)
