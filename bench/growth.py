"""How time and memory grow with whatever can be many: `sam3-agent bench growth`.

Masks, megapixels, phrases, concurrent episodes, samples of a data set. Nothing should grow faster than what is asked
for: of every cost, the first table says with which power of the size it grows at the end, 1 being in proportion.
"""

import json
import math
import statistics
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
import torch

from agent import Decision, GrammarPlanner, ScriptedPlanner, Task, run
from agent.episode import Workspace
from agent.transcript import MadeBy
from bench.draw import blob, scene
from bench.evaluation import SCRIPT, scripted_sam3
from bench.evaluation import SIZE as PHOTOGRAPH
from bench.machine import described
from bench.memory import peak_of
from bench.tables import Cell, Table
from bench.timing import seconds
from evals.datasets import load_dataset
from evals.evaluation import Evaluation
from evals.manifest import EVERYTHING, Manifest
from evals.records import RunFolder
from evals.samples import Dataset
from evals.solver import Solver
from sam3_tool import ConceptPrompt, Instances, Picture, Sam3, ScriptedBackend, remove_overlaps
from sam3_tool.draw import draw_marks
from sam3_tool.training.scenes import HELD_OUT, draw_scene
from sam3_tool.training.vocabulary import COLOURS, SHAPES

CPU = torch.device("cpu")
MASKS = (1, 10, 100, 300, 1000)
MEGAPIXELS = (0.1, 0.5, 2, 8, 24, 50)
PHRASES = (1, 2, 4, 8, 16, 32, 64)
EPISODES = (1, 2, 4, 8, 16, 32)
SAMPLES = (10, 100, 1000)
SIZE = (540, 960)
"""Of the picture in which masks are counted: 1,000 of them fit into memory as arrays."""
TENFOLD = 10
"""The end of a growth: the sizes from a tenth of the largest one on."""
NOTHING = 5
"""Milliseconds or MiB below which there is little but noise."""
ROUNDS = 4
PICTURES = 10
"""Of a data set, which asks about each of them again and again."""


def measure() -> list[Table]:
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    tables = [masks(), megapixels(), phrases(), episodes(), samples()]
    return [powers(tables), *tables]


def powers(tables: Sequence[Table]) -> Table:
    """Every cost in these tables, the one that grows fastest first."""
    rows: list[tuple[str, str, Cell, Cell, float]] = []
    for table in tables:
        last = [row for row in table.rows if _number(row[0]) >= _number(table.rows[-1][0]) / TENFOLD]
        for name, *costs in zip(table.columns, *last, strict=True):
            power = exponent([_number(row[0]) for row in last], [_number(cost) for cost in costs])
            if name.endswith((", ms", ", MiB")) and power is not None:
                rows.append((name, table.columns[0], last[0][0], last[-1][0], power))
    rows.sort(key=lambda row: row[-1], reverse=True)
    columns = ("cost", "against", "from", "to", "power")
    return Table("growth", "With which power of the size a cost grows at the end", columns, rows, _about())


def exponent(sizes: Sequence[float], costs: Sequence[float]) -> float | None:
    """The slope of the line that fits best, both in logarithms; None if a cost is too small to be measured, or NaN.

    >>> exponent([1, 10, 100], [5, 50, 500]), exponent([1, 10], [6, 600]), exponent([1, 10], [0, 0.2])
    (1.0, 2.0, None)
    """
    if not all(cost >= NOTHING for cost in costs):
        return None
    slope = statistics.linear_regression([math.log10(size) for size in sizes], [math.log10(cost) for cost in costs])[0]
    return round(slope, 2)


def _number(cell: Cell) -> float:
    return float(cell) if isinstance(cell, int | float) else math.nan


def masks(numbers: Sequence[int] = MASKS) -> Table:
    """For all of so many masks."""
    picture, everything = scene(*SIZE, max(numbers))
    rows = [(number, *_mask_work(picture, everything[range(number)])) for number in numbers]
    names = ("into a workspace", "overlaps", "left of", "nearest", "draw")
    columns = ("masks", *_of_each(names), "workspace, KiB")
    return Table("growth-masks", "Growth with masks", columns, rows, _about(f"{SIZE[1]} x {SIZE[0]}"))


def _mask_work(picture: Picture, found: Instances) -> Sequence[Cell]:
    workspace = Workspace(picture.height, picture.width).found(found)
    costs = (
        cost(lambda: Workspace(picture.height, picture.width).found(replace(found))),
        cost(lambda: remove_overlaps(found)),
        cost(lambda: _related(picture, found, "left_of")),
        cost(lambda: _related(picture, found, "nearest")),
        cost(lambda: draw_marks(picture, found)),
    )
    return *_in_columns(costs), sum(len(one.rle.counts) for one in workspace) / 2**10


def _related(picture: Picture, found: Instances, relation: str) -> None:
    """One call that compares every mask with every other."""
    sam3 = Sam3(ScriptedBackend({None: {found.phrase: found}}))
    every = list(range(1, len(found) + 1))
    calls = [
        Decision("segment", f'{{"phrases": ["{found.phrase}"], "duplicates": true}}'),
        Decision("relate", f'{{"ids": {every}, "relation": "{relation}", "to": {every}}}'),
        Decision("answer", '{"ids": [1]}'),
    ]
    assert run(Task(picture, "all"), ScriptedPlanner(calls), sam3).outcome == "answered"


def megapixels(sizes: Sequence[float] = MEGAPIXELS) -> Table:
    """One phrase in pictures of all sizes, the embedded SAM 3."""
    sam3 = Sam3.load("tiny")
    sam3.segment(Picture(draw_scene(HELD_OUT).pixels), "shape")  # what only the first call needs
    rows = [(size, *_picture_work(sam3, size)) for size in sizes]
    columns = ("megapixels", *_of_each(("new picture and phrase", "further phrase", "draw")))
    return Table("growth-megapixels", "Growth with the picture", columns, rows, _about("4 x 3"))


def _picture_work(sam3: Sam3, megapixels: float) -> Sequence[Cell]:
    height = round((megapixels * 1e6 * 3 / 4) ** 0.5)
    small = draw_scene(HELD_OUT, size=(640, 480)).pixels
    pictures = _shifted(cv2.resize(small, (height * 4 // 3, height)))
    picture, first = next(pictures), cost(lambda: sam3.segment(next(pictures), "shape"))
    sam3.segment(picture, "shape")
    further = cost(lambda: sam3.segment(picture, "object"))
    found = sam3.segment(picture, "object")
    return _in_columns((first, further, cost(lambda: draw_marks(picture, found))))


def _shifted(pixels: np.ndarray) -> Iterator[Picture]:
    """Pictures that differ, so that none is known."""
    while True:
        pixels[0, 0] += 1
        yield Picture(pixels.copy())


def phrases(numbers: Sequence[int] = PHRASES) -> Table:
    """So many phrases about a picture that is not known, in one call."""
    sam3, pictures = Sam3.load("tiny"), _shifted(draw_scene(HELD_OUT, size=(640, 480)).pixels)
    asked = [ConceptPrompt(f"{colour} {shape}") for colour, shape in product(COLOURS, SHAPES)][: max(numbers)]
    assert len(asked) == max(numbers)
    _ask(sam3, pictures, asked)  # the phrases are known then
    rows = [(number, *cost(partial(_ask, sam3, pictures, asked[:number]))) for number in numbers]
    columns = ("phrases", *_of_each(["picture and phrases"]))
    return Table("growth-phrases", "Growth with phrases", columns, rows, _about("640 x 480"))


def _ask(sam3: Sam3, pictures: Iterator[Picture], prompts: Sequence[ConceptPrompt]) -> None:
    picture = next(pictures)
    sam3.segment_all([(picture, prompt) for prompt in prompts])


def episodes(numbers: Sequence[int] = EPISODES) -> Table:
    """So many episodes at a time on one SAM 3, each about a picture of its own."""
    sam3, pictures = Sam3.load("tiny"), _shifted(draw_scene(HELD_OUT, size=(640, 480)).pixels)
    _side_by_side(sam3, pictures, 1)  # what only the first call needs
    rows = [(number, *cost(partial(_side_by_side, sam3, pictures, number))) for number in numbers]
    columns = ("at a time", *_of_each(["all episodes"]))
    return Table("growth-episodes", "Growth with concurrent episodes", columns, rows, _about("640 x 480"))


def _side_by_side(sam3: Sam3, pictures: Iterator[Picture], number: int) -> None:
    tasks = [Task(next(pictures), "the largest shape") for _ in range(number)]
    with ThreadPoolExecutor(number) as pool:
        assert all(one.outcome for one in pool.map(lambda task: run(task, GrammarPlanner(), sam3), tasks))


def samples(numbers: Sequence[int] = SAMPLES) -> Table:
    """A data set is read, its samples are asked with a scripted planner and SAM 3, scored and reported."""
    with TemporaryDirectory() as folder:
        rows = [(number, *_evaluation_work(Path(folder), number)) for number in numbers]
    columns = ("samples", *_of_each(("read", "ask", "score", "report")))
    pictures = f"{PHOTOGRAPH[1]} x {PHOTOGRAPH[0]}"
    return Table("growth-samples", "Growth with the data set", columns, rows, _about(pictures))


def _evaluation_work(folder: Path, number: int) -> Sequence[Cell]:
    dataset = write_data(folder, number)
    read = cost(lambda: load_dataset("own", folder, "all").samples())
    made_by = MadeBy(planner="scripted", sam3="scripted")
    manifest = Manifest.of(dataset, dataset.facts(), EVERYTHING, made_by=made_by, checkpoint="", threshold=0.5)
    with RunFolder.start(folder / f"run {number}", manifest) as started:
        evaluation = Evaluation(started, dataset, dataset.samples())
        return _in_columns((read, *_run_work(evaluation)))


def _run_work(evaluation: Evaluation) -> Iterator[tuple[float, float | None]]:
    solver = Solver(scripted_sam3(np.random.default_rng(0)), ScriptedPlanner(SCRIPT))
    yield cost(lambda: evaluation.ask(solver), rounds=1)  # what is done is not asked again
    predictions = evaluation.predictions()
    yield cost(lambda: evaluation.score(predictions))
    summary = evaluation.score(predictions)
    yield cost(lambda: evaluation.report(summary, predictions, pages=0))


def write_data(folder: Path, number: int) -> Dataset:
    """So many queries with masks about `PICTURES` pictures, in one's own format."""
    chance = np.random.default_rng(0)
    for index in range(PICTURES):
        clouds = chance.integers(0, 256, (60, 80, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / f"{index}.jpg"), cv2.resize(clouds, PHOTOGRAPH[::-1], interpolation=cv2.INTER_CUBIC))
        cv2.imwrite(str(folder / f"{index}.png"), 255 * blob(*PHOTOGRAPH, chance).astype(np.uint8))
    lines = [
        json.dumps({"image": f"{index % PICTURES}.jpg", "mask": f"{index % PICTURES}.png", "query": f"pebble {index}"})
        for index in range(number)
    ]
    (folder / "queries.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return load_dataset("own", folder, "all")


def cost(work: Callable[[], object], *, rounds: int = ROUNDS) -> tuple[float, float | None]:
    """The median of its milliseconds of processor time; the most MiB that all rounds had beside what was before.

    Of several rounds the first warms up: its memory counts, its time does not.
    """
    took: list[float] = []
    peak = peak_of(lambda: took.extend(1000 * seconds(work, CPU) for _ in range(rounds)))
    return statistics.median(took[1:] or took), peak


def _of_each(names: Sequence[str]) -> list[str]:
    return [f"{name}, {unit}" for unit in ("ms", "MiB") for name in names]


def _in_columns(costs: Sequence[tuple[float, float | None]]) -> list[Cell]:
    """All times, then all memory."""
    return [cell for column in zip(*costs, strict=True) for cell in column]


def _about(pictures: str = "") -> dict[str, Cell]:
    told: dict[str, Cell] = {"device": described(CPU), "time": "processor", "memory": "beside what there was before"}
    return told | ({"pictures": pictures} if pictures else {})
