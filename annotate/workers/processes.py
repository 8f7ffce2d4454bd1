"""Workers as processes of this machine: one each, with a pipe. Networks are loaded there, and stay there."""

import os
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from queue import SimpleQueue
from time import monotonic, perf_counter
from typing import Literal

from annotate.workers.dispatch import Death, Event
from annotate.workers.worker import Failed, Finished, Message, Ready, ShardWorker, Unit, WorkerSetup, describe_failure
from sam3_tool.errors import UserError
from sam3_tool.system.interruptions import SIGNALS

Command = Unit | Literal["stop", "quit"]
"""What a worker is told: a unit; to end the one in hand early; to end, once that is done."""
FAREWELL = 10.0
"""Seconds in which a worker that has nothing to do ends by itself."""
STALL = 1800.0
"""Seconds without a word, with a unit in hand, after which a worker is taken for dead."""


@dataclass
class WorkerProcess:
    """A process, our end of its pipe, and when it last said something."""

    process: SpawnProcess
    connection: "Connection[Command, Message]"
    heard: float = field(default_factory=monotonic)
    is_ready: bool = False
    """Whether everything is loaded."""
    is_busy: bool = False
    """Whether it has a unit in hand."""


class ProcessCrew:
    """Workers in processes of their own.

    Args:
        setup: What each is told.
        devices: Where the networks of each worker run; there are as many workers.
        stall: Seconds after which a worker that says nothing is ended.
    """

    def __init__(self, setup: WorkerSetup, devices: Sequence[str], *, stall: float = STALL) -> None:
        self.size = len(devices)
        self._setup, self._devices, self._stall = setup, devices, stall
        self._workers: dict[int, WorkerProcess] = {}
        # a fork would take over threads and CUDA in whatever state they are
        self._context = get_context("spawn")

    def start_worker(self, worker: int) -> None:
        """Start a worker, again where it died."""
        ours, theirs = self._context.Pipe()
        threads = max(1, (os.cpu_count() or 1) // self.size)
        process = self._context.Process(
            target=serve_units,
            args=(theirs, self._setup, self._devices[worker], threads),
            name=f"annotate-{worker}",
            daemon=True,
        )
        with hold_back_signals():
            process.start()
        theirs.close()
        self._workers[worker] = WorkerProcess(process, ours)

    def assign_unit(self, worker: int, unit: Unit) -> None:
        """Give a worker a unit."""
        found = self._workers[worker]
        found.heard, found.is_busy = monotonic(), True
        with suppress(OSError):  # it died just now, which is told as an event
            found.connection.send(unit)

    def wait_for_events(self, timeout: float) -> list[Event]:
        """Return what came from workers."""
        by_connection = {found.connection: number for number, found in self._workers.items()}
        spoke = [by_connection[connection] for connection in wait([*by_connection], timeout)]  # type: ignore[index]
        events = [(worker, self._receive_message(self._workers[worker])) for worker in spoke]
        events += self._end_stalled_workers({*self._workers} - {*spoke})
        for worker, event in events:
            if isinstance(event, Death):
                del self._workers[worker]
        return events

    def _receive_message(self, found: WorkerProcess) -> Message | Death:
        found.heard = monotonic()
        try:
            message = found.connection.recv()
        except (EOFError, OSError):
            found.process.join()
            found.connection.close()
            return Death(describe_end(found.process.exitcode))
        found.is_ready = found.is_ready or isinstance(message, Ready)
        found.is_busy = found.is_busy and not isinstance(message, Finished | Failed)
        return message

    def _end_stalled_workers(self, silent: set[int]) -> Iterator[Event]:
        for worker in silent:
            found = self._workers[worker]
            if found.is_busy and monotonic() - found.heard > self._stall:
                self._kill_worker(found)
                yield worker, Death(f"said nothing for {self._stall:.0f} seconds and was ended")

    def stop_units(self) -> None:
        """Have all workers end their units early."""
        self._tell_all("stop")

    def close(self) -> None:
        """End all workers at once, and let those that have nothing to do clear up."""
        self._tell_all("quit")
        end = monotonic() + FAREWELL
        for found in self._workers.values():
            if found.is_ready and not found.is_busy:
                found.process.join(max(0.0, end - monotonic()))
            self._kill_worker(found)
        self._workers.clear()

    def _tell_all(self, command: Command) -> None:
        for found in self._workers.values():
            with suppress(OSError):
                found.connection.send(command)

    def _kill_worker(self, found: WorkerProcess) -> None:
        found.process.kill()
        found.process.join()
        found.connection.close()


@contextmanager
def hold_back_signals() -> Iterator[None]:
    """Keep signals that end a program from a process that is being started, until it handles them itself."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def describe_end(exit_code: int | None) -> str:
    """Say how a process ended, in words that go on from "its worker".

    >>> describe_end(-9), describe_end(3)
    ('was ended by SIGKILL, as it is where memory is full', 'ended with exit code 3')
    """
    if exit_code is None or exit_code >= 0:
        return f"ended with exit code {exit_code}"
    with suppress(ValueError):
        name = signal.Signals(-exit_code).name
        return f"was ended by {name}{', as it is where memory is full' if name == 'SIGKILL' else ''}"
    return f"was ended by signal {-exit_code}"


def serve_units(connection: "Connection[Message, Command]", setup: WorkerSetup, device: str, threads: int) -> None:
    """Be a worker: load the networks, then answer every unit that comes through the pipe."""
    for number in SIGNALS:  # Ctrl-C and a service's end reach every process; the run says what is to be done
        signal.signal(number, signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))  # read where torch is imported
    units: SimpleQueue[Unit | None] = SimpleQueue()
    is_stopping = threading.Event()
    threading.Thread(target=_listen, args=(connection, units, is_stopping), daemon=True).start()
    started = perf_counter()
    try:
        worker = ShardWorker(setup, device, is_stopping, connection.send)
        connection.send(Ready(worker.made_by, perf_counter() - started))
        while (unit := units.get()) is not None:
            connection.send(worker.run_unit(unit))
    except (UserError, OSError) as error:
        connection.send(describe_failure(error))


def _listen(
    connection: "Connection[Message, Command]", units: "SimpleQueue[Unit | None]", is_stopping: threading.Event
) -> None:
    """Take commands from the pipe. Once the run is gone, nobody waits for what this process does."""
    while True:
        try:
            command = connection.recv()
        except (EOFError, OSError):
            os._exit(1)
        if command == "stop":
            is_stopping.set()
        else:
            units.put(None if command == "quit" else command)
