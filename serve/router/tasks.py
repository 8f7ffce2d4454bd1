"""Work that can be ended without a socket being left open."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import anyio


class EndableTask:
    """A task that is ended where it waits, but never while it cleans up.

    `asyncio.Task.cancel` reaches into what is shielded, too: httpx's pool, which was closing several connections that a
    dead process had left, then forgets the others, and their sockets stay open. A cancelled scope does not.

    >>> async def end_soon():
    ...     task = EndableTask(asyncio.sleep(60))
    ...     await task.end()
    ...     return task.is_done
    >>> asyncio.run(end_soon())
    True
    """

    def __init__(self, work: Coroutine[Any, Any, None]) -> None:
        """Begin the work. Of one event loop."""
        self._scope = anyio.CancelScope()
        self.task = asyncio.create_task(self._run(work))
        """Raises what the work raises; ends without an error where it was ended."""

    async def _run(self, work: Coroutine[Any, Any, None]) -> None:
        with self._scope:
            await work

    @property
    def is_done(self) -> bool:
        """Whether it has ended."""
        return self.task.done()

    async def end(self) -> None:
        """End it, if it has not ended, and wait until it has cleaned up. What it raises is told to nobody."""
        self._scope.cancel()
        await asyncio.wait((self.task,))
        if not self.task.cancelled():
            self.task.exception()  # or asyncio would report that nobody asked for it
