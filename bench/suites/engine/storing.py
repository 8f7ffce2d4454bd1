"""Measure what a large data engine costs to open, count, read and export: `sam3-agent bench engine --store`."""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from time import process_time

import numpy as np
import PIL.Image

from bench.harness.memory import measure_peak_mib
from bench.harness.tables import Table
from engine.exports.exporting import ExportForm, export_engine_labels
from engine.media.images import EngineImage
from engine.pairs import Judgement, Pair, Proposal
from engine.store.store import EngineStore
from sam3_tool import Image
from sam3_tool.masks.rle import encode_mask

PHRASES = 10
"""Of each image; the first two have two masks, the others none."""
SIZE = (48, 64)
"""Height and width of every image."""
PAGE_IMAGES = 200
READ_STATES = 200
FORMS: tuple[ExportForm, ...] = ("saco", "parquet", "webdataset")
Row = tuple[str, float, float | None]


def measure_store(images: int = 10_000) -> Iterator[Table]:
    """Measure an engine of so many images with ten pairs each, nine of ten of them judged by a person.

    Args:
        images: How many. The engine is made in a temporary folder first.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        fill_engine(folder, images)
        rows = [*_measure_reading(folder / "engine"), *_measure_exports(folder)]
    about: dict[str, str | float | int | None] = {
        "images": images,
        "pairs": images * PHRASES,
        "image": f"{SIZE[1]} x {SIZE[0]}",
    }
    columns = ("work", "processor s", "more memory, MiB")
    yield Table("engine-store", "What a large data engine costs", columns, rows, about)


def fill_engine(folder: Path, images: int) -> None:
    """Make an engine, and the image files that its rows name."""
    (folder / "photos").mkdir()
    with EngineStore.create(folder / "engine") as store:
        for first in range(0, images, PAGE_IMAGES):
            made = [_make_image(folder, number) for number in range(first, min(first + PAGE_IMAGES, images))]
            pairs = [
                Pair(image=image.key, phrase=f"thing {number}", original="thing", origin="list")
                for image in made
                for number in range(PHRASES)
            ]
            store.add_images(made)
            store.add_pairs(pairs)
            proposals = [_make_proposal(pair) for pair in pairs]
            store.add_proposals(proposals, at=0.0)
            store.append([said for proposal in proposals for said in _judge_proposal(proposal)])


def _make_image(folder: Path, number: int) -> EngineImage:
    pixels = np.random.default_rng(number).integers(0, 255, (*SIZE, 3), np.uint8)
    path = folder / "photos" / f"{number}.png"
    PIL.Image.fromarray(pixels).save(path, compress_level=1)
    return EngineImage(key=Image(pixels).key, path=path, width=SIZE[1], height=SIZE[0])


def _make_proposal(pair: Pair) -> Proposal:
    masks = np.zeros((2, *SIZE), bool)
    masks[0, 4:20, 4:20], masks[1, 10:40, 30:60] = True, True
    rles = tuple(encode_mask(mask) for mask in masks) if pair.phrase in ("thing 0", "thing 1") else ()
    return Proposal(pair=pair.key, masks=rles, scores=(0.9,) * len(rles), presence=0.5, made_by="bench")


def _judge_proposal(proposal: Proposal) -> list[Judgement]:
    """Accept everything; one pair of ten stays open."""
    if int(proposal.pair, 16) % 10 == 0:
        return []
    indexes = range(len(proposal.masks))
    rest = {"choice": "accept", "by": "human:anna", "at": 1.0, "drawn": "random", "pair": proposal.pair}
    masks = [Judgement.model_validate({**rest, "stage": "mv", "mask": index}) for index in indexes]
    return [*masks, Judgement.model_validate({**rest, "stage": "ev", "shown": (*indexes,)})]


def _measure_work(name: str, work: Callable[[], object]) -> Row:
    started = process_time()
    peak = measure_peak_mib(work)
    return name, process_time() - started, peak


def _measure_reading(engine: Path) -> Iterator[Row]:
    yield _measure_work("open", lambda: EngineStore.open(engine, read_only=True).close())
    with EngineStore.open(engine, read_only=True) as store:
        yield _measure_work("count all states", lambda: sum(1 for _ in store.iterate_summaries()))
        yield _measure_work("read all states with masks", lambda: sum(1 for _ in store.iterate_states()))
        keys = [pair.key for pair in store.pairs()]
        chosen = np.random.default_rng(0).choice(len(keys), READ_STATES)
        seconds = []
        for number in chosen:
            started = process_time()
            store.read_state(keys[number])
            seconds.append(process_time() - started)
        yield "read one state, median", median(seconds), None


def _measure_exports(folder: Path) -> Iterator[Row]:
    with EngineStore.open(folder / "engine", read_only=True) as store:
        for form in FORMS:
            yield _measure_work(f"export, {form}", lambda form=form: export_engine_labels(store, folder / form, form))  # type: ignore[misc]
