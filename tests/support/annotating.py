"""Images in folders, and a scripted SAM 3 for workers in processes of their own."""

import os
import signal
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import PIL.Image

from annotate.asking import Asker, PhraseAsker
from annotate.job import Job
from annotate.plan import Plan
from annotate.shards import Row, read_shard
from annotate.sources.opening import SourceOptions, open_source
from annotate.workers.dispatch import Death, Event
from annotate.workers.worker import Ready, ShardWorker, Unit, WorkerSetup
from sam3_tool import Image, Instances, Sam3, ScriptedBackend
from sam3_tool.backends.scripted import ScriptedEmbedding
from sam3_tool.errors import DeviceError

SIZE = (12, 16)
"""Height and width of the images."""
DEADLY, COSTLY = (255, 0, 255), (0, 255, 255)
"""Colours of images that end their worker, and that fail."""


class TouchyBackend(ScriptedBackend):
    """Finds a cup in every image; it ends its process at one colour, and raises at another."""

    fingerprint = "5c" * 32

    def __init__(self, pause: float = 0.0) -> None:
        mask = np.zeros((1, *SIZE), bool)
        mask[0, 2:6, 3:9] = True
        cup = Instances(mask, np.array([[3, 2, 9, 6]], np.float32), np.array([0.75], np.float32), 0.9, "cup")
        super().__init__({None: {"cup": cup}})
        self._pause = pause

    def encode(self, images: Sequence[Image]) -> list[ScriptedEmbedding]:
        time.sleep(self._pause * len(images))
        for image in images:
            colour = tuple(image.pixels[0, 0].tolist())
            if colour == DEADLY:
                os.kill(os.getpid(), signal.SIGKILL)
            if colour == COSTLY:
                raise DeviceError("the memory of the device is full")
        return super().encode(images)


def load_touchy_asker(device: str, *, phrases: Sequence[str] = ("cup", "hat"), pause: float = 0.0) -> PhraseAsker:
    return PhraseAsker(Sam3(TouchyBackend(pause)), phrases, batch=4)


def write_images(folder: Path, number: int, **colours: tuple[int, int, int]) -> None:
    """Write PNG files 0000.png …; `colours`: of some of them by name, e.g. i0003."""
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(number):
        colour = colours.get(f"i{index:04d}", (index % 200, index // 200, 7))
        PIL.Image.new("RGB", SIZE[::-1], colour).save(folder / f"{index:04d}.png")


def build_job(
    source: Path,
    out: Path,
    *,
    shard: int = 8,
    workers: int = 1,
    build_asker: Callable[[str], Asker] = load_touchy_asker,
    pause: float = 0.0,
    on_note: Callable[[str], object] = lambda text: None,
) -> Job:
    """A run that asks for a cup and a hat."""
    listing = open_source(source, SourceOptions(), out=out)
    question = {"phrases": ["cup", "hat"], "threshold": 0.5}
    plan = Plan(
        source=str(source), listing=listing.digest, images=len(listing), shard=shard, question=question, options={}
    )
    asker = partial(build_asker, pause=pause) if pause else build_asker
    setup = WorkerSetup(out, listing.reader, asker, ahead=4, plan=plan.hash)
    job = Job(plan=plan, listing=listing, out=out, setup=setup, devices=["cpu"] * workers, on_note=on_note)
    job.prepare_folder()
    return job


def read_rows(job: Job) -> list[list[Row]]:
    return [rows for number in range(job.plan.shards) for rows in read_shard(job.folder.get_shard_path(number))]


def run_here(job: Job, shards: range | None = None) -> None:
    """Do shards in this process, as a worker does them."""
    worker = ShardWorker(job.setup)
    for number in shards if shards is not None else range(job.plan.shards):
        start, stop = job.plan.get_range(number)
        worker.run_unit(Unit(number, tuple(job.listing.get_items(start, stop)), stop - start))


class InlineCrew:
    """Workers in this thread: what they answer is there when somebody waits for it.

    Args:
        setup: What each is told.
        size: How many there are.
        dies: Whether a unit ends its worker.
        loads: Whether workers can begin.
    """

    def __init__(
        self,
        setup: WorkerSetup,
        size: int = 1,
        *,
        dies: Callable[[Unit], bool] = lambda unit: False,
        loads: bool = True,
    ) -> None:
        self.size, self._dies, self._loads = size, dies, loads
        self._worker = ShardWorker(setup)
        self._events: list[Event] = []
        self.starts = 0
        self.units: list[Unit] = []

    def start_worker(self, worker: int) -> None:
        self.starts += 1
        self._events.append((worker, Ready(self._worker.made_by, 0.0) if self._loads else Death("died")))

    def assign_unit(self, worker: int, unit: Unit) -> None:
        self.units.append(unit)
        self._events.append((worker, Death("died") if self._dies(unit) else self._worker.run_unit(unit)))

    def wait_for_events(self, timeout: float) -> list[Event]:
        if not self._events:
            time.sleep(min(timeout, 0.01))
        events, self._events = self._events, []
        return events

    def stop_units(self) -> None:
        self._worker.is_stopping.set()

    def close(self) -> None:
        self._events.clear()
