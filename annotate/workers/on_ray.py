"""Workers as actors of a Ray cluster, for several machines that share the folders of images and of results.

Pixels and masks never pass through Ray: an actor reads its images itself and writes its shards itself.
"""

import os
from collections.abc import Sequence
from contextlib import suppress
from time import perf_counter
from typing import Any

from annotate.workers.dispatch import Death, Event
from annotate.workers.worker import Advance, Failed, Finished, Ready, ShardWorker, Unit, WorkerSetup, describe_failure
from sam3_tool.errors import UserError

OBJECT_STORE_BYTES = 100 * 2**20
"""Of a cluster that is started here. Nothing large is stored; the default is a third of the memory."""


class RayWorker:
    """A worker inside of an actor."""

    def load(self, setup: WorkerSetup, device: str) -> Ready | Failed:
        """Load the networks."""
        started = perf_counter()
        try:
            self._worker = ShardWorker(setup, device)
        except (UserError, OSError) as error:
            return describe_failure(error)
        return Ready(self._worker.made_by, perf_counter() - started)

    def stop_unit(self) -> None:
        """Have the unit in hand end early."""
        self._worker.is_stopping.set()

    def run_unit(self, unit: Unit) -> Finished | Failed:
        """Answer a unit."""
        try:
            return self._worker.run_unit(unit)
        except (UserError, OSError) as error:
            return describe_failure(error)


class RayCrew:
    """Workers of the cluster that RAY_ADDRESS names, or of one that is started on this machine.

    Args:
        setup: What each is told; its folders must be the same on every machine.
        devices: One for each worker. Ray gives a worker on "cuda…" a GPU of its own, which it then calls "cuda".
    """

    def __init__(self, setup: WorkerSetup, devices: Sequence[str]) -> None:
        self.size = len(devices)
        self._setup, self._devices = setup, devices
        self._actors: dict[int, Any] = {}
        self._waiting: dict[Any, int] = {}
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # which is read as Ray is imported
        import ray

        self._ray = ray
        if not ray.is_initialized():
            own = {} if os.environ.get("RAY_ADDRESS") else {"object_store_memory": OBJECT_STORE_BYTES}
            variables = {"PYTHONPATH": os.environ.get("PYTHONPATH", "")}
            ray.init(include_dashboard=False, log_to_driver=False, runtime_env={"env_vars": variables}, **own)

    def start_worker(self, worker: int) -> None:
        """Start an actor, again where it died."""
        on_gpu = self._devices[worker].startswith("cuda")
        # two calls at a time: one works, and the other one may stop it
        options = {"num_cpus": 1, "num_gpus": 1 if on_gpu else 0, "max_concurrency": 2}
        self._actors[worker] = self._ray.remote(**options)(RayWorker).remote()
        device = "cuda" if on_gpu else self._devices[worker]
        self._waiting[self._actors[worker].load.remote(self._setup, device)] = worker

    def assign_unit(self, worker: int, unit: Unit) -> None:
        """Give an actor a unit."""
        self._waiting[self._actors[worker].run_unit.remote(unit)] = worker

    def wait_for_events(self, timeout: float) -> list[Event]:
        """Return what came from actors."""
        ready, _ = self._ray.wait(list(self._waiting), num_returns=1, timeout=timeout) if self._waiting else ([], [])
        return [event for answer in ready for event in self._read_answer(self._waiting.pop(answer), answer)]

    def _read_answer(self, worker: int, answer: Any) -> list[Event]:
        try:
            message: Ready | Finished | Failed = self._ray.get(answer)
        except self._ray.exceptions.RayActorError:
            return [(worker, Death("died, or its machine did"))]
        if isinstance(message, Finished):  # an actor says nothing in between
            summary = message.summary
            return [(worker, Advance(summary.images, summary.errors, summary.cost)), (worker, message)]
        return [(worker, message)]

    def stop_units(self) -> None:
        """Have all units end early."""
        for actor in self._actors.values():
            actor.stop_unit.remote()

    def close(self) -> None:
        """End all actors."""
        for actor in self._actors.values():
            with suppress(Exception):
                self._ray.kill(actor)
        self._ray.shutdown()
