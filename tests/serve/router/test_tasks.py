"""Whoever stops waiting for a process leaves no socket open, whatever was just being cleaned up."""

import asyncio
import gc
import warnings
from pathlib import Path

import pytest

from serve.router.tasks import EndableTask
from serve.router.workers import Worker
from serve.slots import Slot

CONNECTIONS = 3


async def stop_asking_after(steps: int, folder: Path) -> None:
    """Ask a process that has just died, over a pool with several connections to it, and stop after so many steps."""
    worker = Worker(Slot(0, 1), folder, lambda slot, path: None)
    arrived, writers = asyncio.Event(), []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        await reader.readuntil(b"\r\n\r\n")
        if len(writers) == CONNECTIONS:
            arrived.set()
        await arrived.wait()
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")

    server = await asyncio.start_unix_server(answer, worker.socket)
    await asyncio.gather(*(worker.fetch("/ready") for _ in range(CONNECTIONS)))
    server.close()
    for writer in writers:
        writer.close()
        await writer.wait_closed()
    worker.socket.unlink(missing_ok=True)
    asking = EndableTask(ask_quietly(worker))
    for _ in range(steps):
        await asyncio.sleep(0)
    await asking.end()
    await worker.transport.aclose()


async def ask_quietly(worker: Worker) -> None:
    await worker.fetch("/ready")


@pytest.mark.parametrize("steps", range(8))
def test_a_question_that_is_given_up_leaves_no_socket_of_a_dead_process_open(steps: int, tmp_path: Path) -> None:
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        asyncio.run(stop_asking_after(steps, tmp_path))
        gc.collect()
    assert [str(warning.message) for warning in told if warning.category is ResourceWarning] == []


def test_what_the_work_raises_is_raised_to_whoever_waits_and_to_nobody_else() -> None:
    async def fail() -> None:
        raise LookupError("gone")

    async def wait_for_it() -> None:
        task = EndableTask(fail())
        with pytest.raises(LookupError, match="gone"):
            await task.task
        await task.end()
        await EndableTask(fail()).end()

    asyncio.run(wait_for_it())
