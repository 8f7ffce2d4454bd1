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
from annotate.sources.opening import SourceOptions, open_source
from annotate.worker import WorkerSetup
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
