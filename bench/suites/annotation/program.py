"""One run over many images in a process of its own, which prints what it took.

It loads no network and no library that a run would not load, so that its memory is that of a run.
"""

import json
import resource
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from agent.doubt.policy import NO_POLICY
from annotate.asking import PhraseAsker
from annotate.job import Job
from annotate.plan import Plan, choose_shard_size
from annotate.questions import load_phrase_asker
from annotate.sources.base import ImageReader, Item, Listing
from annotate.sources.files import list_folder
from annotate.workers.worker import WorkerSetup
from bench.harness.memory import read_peak_mib
from sam3_tool.image import Image

SCRIPTED = "scripted"


@dataclass(frozen=True)
class BlankReader:
    """Gives the same image of one pixel, whichever it is asked for."""

    def open_image(self, item: Item) -> Image:
        return _make_blank_image()

    def read_bytes(self, item: Item) -> bytes:
        return b""

    def is_there(self) -> bool:
        return True


@cache
def _make_blank_image() -> Image:
    return Image(np.zeros((1, 1, 3), np.uint8))


def load_scripted_asker(device: str, *, phrases: Sequence[str], batch: int) -> PhraseAsker:
    """Load a SAM 3 that finds nothing, and costs nothing."""
    from sam3_tool import Sam3, ScriptedBackend

    return PhraseAsker(Sam3(ScriptedBackend({}), max_batch=batch), phrases, batch=batch)


def choose_asker(sam3: str, *, phrases: Sequence[str], batch: int) -> Callable[[str], PhraseAsker]:
    """Return what loads, onto a device, what answers: SAM 3 as `--sam3` takes it, or the scripted one."""
    if sam3 == SCRIPTED:
        return partial(load_scripted_asker, phrases=phrases, batch=batch)
    chosen = partial(load_phrase_asker, sam3=sam3, phrases=phrases, threshold=0.5)
    return partial(chosen, batch=batch, concepts={}, doubt=NO_POLICY)


def list_blank_images(number: int) -> Listing:
    """List so many images that take no time to read."""
    reader: ImageReader = BlankReader()
    return Listing(reader, ((b"%07d.jpg" % index, ()) for index in range(number)))


def run_job(
    source: str, out: Path, *, sam3: str, phrases: Sequence[str], workers: int, shard: int | None, batch: int
) -> dict[str, Any]:
    """Run, or go on with, a run.

    Args:
        source: A folder of images; or a number, for so many that take no time to read.
        out: Folder of the results.
        sam3: As `--sam3` takes it, or "scripted".
        phrases: What is asked.
        workers: Processes.
        shard: Images of a shard.
        batch: Requests at a time.

    Returns:
        Images, images a second over the last minute, seconds by the clock, and processor seconds and peak memory in
        MiB of this process and of its workers.
    """
    started = time.perf_counter()
    is_blank = source.isdecimal()
    listing = (
        list_blank_images(int(source))
        if is_blank
        else list_folder(Path(source), without=out, limit=None, max_pixels=None)
    )
    load = choose_asker(sam3, phrases=phrases, batch=batch)
    plan = Plan(
        source=source,
        listing=listing.digest,
        images=len(listing),
        shard=shard or choose_shard_size(len(listing), len(phrases)),
        question={"phrases": list(phrases)},
        options={"sam3": sam3},
    )
    setup = WorkerSetup(out, listing.reader, load, 2 * max(1, batch // len(phrases)), plan.hash)
    rates: list[float] = []
    job = Job(
        plan=plan,
        listing=listing,
        out=out,
        setup=setup,
        devices=["cpu"] * workers,
        on_note=lambda text: print(text, file=sys.stderr),
        on_progress=lambda meter: rates.append(meter.rate),
    )
    job.prepare_folder()
    job.run()
    ended = time.perf_counter()
    own, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return {
        "images": len(listing),
        "rate": rates[-1] if rates else 0.0,
        "seconds": ended - started,
        "parent": own.ru_utime + own.ru_stime,
        "workers": children.ru_utime + children.ru_stime,
        "parent_mib": read_peak_mib(),  # what `getrusage` says begins with the memory of whoever started this
        "worker_mib": children.ru_maxrss / 1024,
    }


def main(words: Sequence[str]) -> None:
    """Run what the first word, a JSON object, says; print what it took, as JSON."""
    asked = json.loads(words[0])
    print(json.dumps(run_job(asked.pop("source"), Path(asked.pop("out")), **asked)))


if __name__ == "__main__":
    main(sys.argv[1:])
