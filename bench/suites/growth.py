"""The growth of time and memory with the size of the work: `sam3-agent bench growth`.

The sizes are masks, holes of a mask, megapixels, frames of a video, phrases, concurrent episodes, and samples of a data
set. For each cost the first table says with which power of the size it grows at the end; 1 is in proportion, and
nothing should grow faster. The memory that it takes to read a video should not grow at all.
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

import av
import cv2
import numpy as np
import torch

from agent import Decision, GrammarPlanner, ScriptedPlanner, Task, run
from agent.core.workspace import Workspace
from agent.records.provenance import Provenance
from bench.harness.machine import describe_device
from bench.harness.memory import measure_peak_mib
from bench.harness.tables import Cell, Table
from bench.harness.timing import measure_seconds
from bench.suites.agent.evaluation import IMAGE_SIZE as DATASET_IMAGE_SIZE
from bench.suites.agent.evaluation import SCRIPT, make_scripted_sam3
from bench.suites.drawing import draw_blob, draw_blob_scene
from evals.datasets.loading import load_dataset
from evals.evaluation import Evaluation
from evals.runs.manifest import ALL_SAMPLES, Manifest
from evals.runs.run_folder import RunFolder
from evals.runs.solver import Solver
from evals.samples import Dataset
from sam3_tool import ConceptPrompt, Image, Instances, Sam3, ScriptedBackend, Video, remove_overlaps
from sam3_tool.drawing.overlay import draw_marks
from sam3_tool.masks.polygons import trace_rings
from sam3_tool.synthetic.nouns import COLOURS, SHAPES
from sam3_tool.synthetic.scenes import HELD_OUT, draw_scene

CPU = torch.device("cpu")
MASKS = (1, 10, 100, 300, 1000)
HOLES = (100, 400, 1600, 6400, 25_600)
MEGAPIXELS = (0.1, 0.5, 2, 8, 24, 50)
FRAMES = (100, 1000, 10_000)
PHRASES = (1, 2, 4, 8, 16, 32, 64)
EPISODES = (1, 2, 4, 8, 16, 32)
SAMPLES = (10, 100, 1000)
SIZE = (540, 960)
"""Height and width of the image of the masks: 1,000 of them fit into memory as arrays."""
TENFOLD = 10
"""A power is fitted to the sizes from a tenth of the largest one on."""
NOISE_FLOOR = 5
"""Milliseconds or MiB; below it there is little but noise."""
ROUNDS = 4
VIDEO_SIZE = (360, 640)
"""Height and width of a video, of which 100 frames fill what is remembered."""
IMAGES = 10
"""Images of a data set, which asks about each of them again and again."""


def measure_growth() -> list[Table]:
    """Return the powers of all costs, then the tables of the costs themselves."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    tables = [
        measure_mask_growth(),
        measure_hole_growth(),
        measure_megapixel_growth(),
        measure_frame_growth(),
        measure_phrase_growth(),
        measure_episode_growth(),
        measure_sample_growth(),
    ]
    return [fit_powers(tables), *tables]


def fit_powers(tables: Sequence[Table]) -> Table:
    """Return the power of every cost in these tables, the one that grows fastest first."""
    rows: list[tuple[str, str, Cell, Cell, float]] = []
    for table in tables:
        last = [row for row in table.rows if _to_float(row[0]) >= _to_float(table.rows[-1][0]) / TENFOLD]
        for name, *costs in zip(table.columns, *last, strict=True):
            power = fit_exponent([_to_float(row[0]) for row in last], [_to_float(cost) for cost in costs])
            if name.endswith((", ms", ", MiB")) and power is not None:
                rows.append((name, table.columns[0], last[0][0], last[-1][0], power))
    rows.sort(key=lambda row: row[-1], reverse=True)
    columns = ("cost", "against", "from", "to", "power")
    return Table(
        "growth", "With which power of the size a cost grows at the end", columns, rows, _describe_conditions()
    )


def fit_exponent(sizes: Sequence[float], costs: Sequence[float]) -> float | None:
    """Return the slope of the line that fits the logarithms best; None if a cost is NaN or below the noise.

    >>> fit_exponent([1, 10, 100], [5, 50, 500]), fit_exponent([1, 10], [6, 600]), fit_exponent([1, 10], [0, 0.2])
    (1.0, 2.0, None)
    """
    if not all(cost >= NOISE_FLOOR for cost in costs):
        return None
    slope = statistics.linear_regression([math.log10(size) for size in sizes], [math.log10(cost) for cost in costs])[0]
    return round(slope, 2)


def _to_float(cell: Cell) -> float:
    return float(cell) if isinstance(cell, int | float) else math.nan


def measure_mask_growth(numbers: Sequence[int] = MASKS) -> Table:
    """Measure what is done to all masks of an image, for so many masks."""
    image, everything = draw_blob_scene(*SIZE, max(numbers))
    rows = [(number, *_measure_mask_work(image, everything[range(number)])) for number in numbers]
    names = ("into a workspace", "overlaps", "left of", "nearest", "draw")
    columns = ("masks", *_list_cost_columns(names), "workspace, KiB")
    return Table("growth-masks", "Growth with masks", columns, rows, _describe_conditions(f"{SIZE[1]} x {SIZE[0]}"))


def _measure_mask_work(image: Image, found: Instances) -> Sequence[Cell]:
    workspace = Workspace(image.height, image.width).with_search(found)
    costs = (
        measure_cost(lambda: Workspace(image.height, image.width).with_search(replace(found))),
        measure_cost(lambda: remove_overlaps(found)),
        measure_cost(lambda: _relate_all_masks(image, found, "left_of")),
        measure_cost(lambda: _relate_all_masks(image, found, "nearest")),
        measure_cost(lambda: draw_marks(image, found)),
    )
    return *_flatten_costs(costs), sum(len(candidate.rle.counts) for candidate in workspace) / 2**10


def _relate_all_masks(image: Image, found: Instances, relation: str) -> None:
    """One call that compares every mask with every other."""
    sam3 = Sam3(ScriptedBackend({None: {found.phrase: found}}))
    every = list(range(1, len(found) + 1))
    calls = [
        Decision("segment", f'{{"phrases": ["{found.phrase}"], "duplicates": true}}'),
        Decision("relate", f'{{"ids": {every}, "relation": "{relation}", "to": {every}}}'),
        Decision("answer", '{"ids": [1]}'),
    ]
    assert run(Task(image, "all"), ScriptedPlanner(calls), sam3).outcome == "answered"


def measure_hole_growth(numbers: Sequence[int] = HOLES) -> Table:
    """Measure the polygons of one mask with so many holes, as exports write them."""
    rows = [(number, *_flatten_costs([measure_cost(partial(trace_rings, _draw_holes(number)))])) for number in numbers]
    return Table(
        "growth-holes", "Growth with holes", ("holes", *_list_cost_columns(["polygons"])), rows, _describe_conditions()
    )


def _draw_holes(number: int) -> np.ndarray:
    """A mask with so many holes of one pixel, in a square as good as possible: bool (H, W)."""
    side = math.isqrt(number - 1) + 1
    mask = np.ones((4 * side, 4 * side), bool)
    rows, columns = np.divmod(np.arange(number), side)
    mask[4 * rows + 1, 4 * columns + 1] = False
    return mask


def measure_megapixel_growth(sizes: Sequence[float] = MEGAPIXELS) -> Table:
    """Measure one phrase in images of all sizes, with the embedded SAM 3."""
    sam3 = Sam3.load("tiny")
    sam3.segment(Image(draw_scene(HELD_OUT).pixels), "shape")  # the first call initialises libraries
    rows = [(size, *_measure_image_work(sam3, size)) for size in sizes]
    columns = ("megapixels", *_list_cost_columns(("new picture and phrase", "further phrase", "draw")))
    return Table("growth-megapixels", "Growth with the picture", columns, rows, _describe_conditions("4 x 3"))


def _measure_image_work(sam3: Sam3, megapixels: float) -> Sequence[Cell]:
    height = round((megapixels * 1e6 * 3 / 4) ** 0.5)
    small = draw_scene(HELD_OUT, size=(640, 480)).pixels
    images = _generate_images(cv2.resize(small, (height * 4 // 3, height)))
    image, first = next(images), measure_cost(lambda: sam3.segment(next(images), "shape"))
    sam3.segment(image, "shape")
    further = measure_cost(lambda: sam3.segment(image, "object"))
    found = sam3.segment(image, "object")
    return _flatten_costs((first, further, measure_cost(lambda: draw_marks(image, found))))


def _generate_images(pixels: np.ndarray) -> Iterator[Image]:
    """Images that differ, so that no cache knows one."""
    while True:
        pixels[0, 0] += 1
        yield Image(pixels.copy())


def measure_frame_growth(numbers: Sequence[int] = FRAMES, size: tuple[int, int] = VIDEO_SIZE) -> Table:
    """Measure a video of so many frames: open it, read it to its end, and read a frame in its middle."""
    with TemporaryDirectory() as folder:
        rows = [(number, *_measure_video(Path(folder, f"{number}.mp4"), number, size)) for number in numbers]
    columns = ("frames", *_list_cost_columns(("open", "read all", "jump")))
    return Table("growth-frames", "Growth with a video", columns, rows, _describe_conditions(f"{size[1]} x {size[0]}"))


def _measure_video(path: Path, number: int, size: tuple[int, int]) -> Sequence[Cell]:
    _write_video(path, number, size)
    opened = measure_cost(lambda: Video.open(path))
    video = Video.open(path)
    read = measure_cost(lambda: sum(1 for _ in video.iterate_frames()), rounds=1)
    jump = measure_cost(lambda: Video.open(path).read_frame(number // 2))
    return _flatten_costs((opened, read, jump))


def _write_video(path: Path, number: int, size: tuple[int, int]) -> None:
    """Write clouds that drift, in groups of 250 frames as x264 makes them by itself."""
    clouds = np.random.default_rng(0).integers(0, 256, (12, 16, 3), dtype=np.uint8)
    picture = np.asarray(cv2.resize(clouds, size[::-1], interpolation=cv2.INTER_CUBIC), np.uint8)
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=24, options={"preset": "ultrafast"})
        stream.height, stream.width = size
        for index in range(number):
            file.mux(stream.encode(av.VideoFrame.from_ndarray(np.roll(picture, index, axis=1), "rgb24")))
        file.mux(stream.encode())


def measure_phrase_growth(numbers: Sequence[int] = PHRASES) -> Table:
    """Measure so many phrases about a new image in one call."""
    sam3, images = Sam3.load("tiny"), _generate_images(draw_scene(HELD_OUT, size=(640, 480)).pixels)
    asked = [ConceptPrompt(f"{colour} {shape}") for colour, shape in product(COLOURS, SHAPES)][: max(numbers)]
    assert len(asked) == max(numbers)
    _segment_phrases(sam3, images, asked)  # so that the text encoder has seen the phrases
    rows = [(number, *measure_cost(partial(_segment_phrases, sam3, images, asked[:number]))) for number in numbers]
    columns = ("phrases", *_list_cost_columns(["picture and phrases"]))
    return Table("growth-phrases", "Growth with phrases", columns, rows, _describe_conditions("640 x 480"))


def _segment_phrases(sam3: Sam3, images: Iterator[Image], prompts: Sequence[ConceptPrompt]) -> None:
    image = next(images)
    sam3.segment_batch([(image, prompt) for prompt in prompts])


def measure_episode_growth(numbers: Sequence[int] = EPISODES) -> Table:
    """Measure so many concurrent episodes on one SAM 3, each about an image of its own."""
    sam3, images = Sam3.load("tiny"), _generate_images(draw_scene(HELD_OUT, size=(640, 480)).pixels)
    _run_episodes(sam3, images, 1)  # the first call initialises libraries
    rows = [(number, *measure_cost(partial(_run_episodes, sam3, images, number))) for number in numbers]
    columns = ("at a time", *_list_cost_columns(["all episodes"]))
    return Table("growth-episodes", "Growth with concurrent episodes", columns, rows, _describe_conditions("640 x 480"))


def _run_episodes(sam3: Sam3, images: Iterator[Image], number: int) -> None:
    tasks = [Task(next(images), "the largest shape") for _ in range(number)]
    with ThreadPoolExecutor(number) as pool:
        assert all(episode.outcome for episode in pool.map(lambda task: run(task, GrammarPlanner(), sam3), tasks))


def measure_sample_growth(numbers: Sequence[int] = SAMPLES) -> Table:
    """Measure a data set of so many samples: read, ask with a scripted planner and SAM 3, score, report."""
    with TemporaryDirectory() as folder:
        rows = [(number, *_measure_evaluation(Path(folder), number)) for number in numbers]
    columns = ("samples", *_list_cost_columns(("read", "ask", "score", "report")))
    image_size = f"{DATASET_IMAGE_SIZE[1]} x {DATASET_IMAGE_SIZE[0]}"
    return Table("growth-samples", "Growth with the data set", columns, rows, _describe_conditions(image_size))


def _measure_evaluation(folder: Path, number: int) -> Sequence[Cell]:
    dataset = write_dataset(folder, number)
    read = measure_cost(lambda: load_dataset("own", folder, "all").list_samples())
    provenance = Provenance(planner="scripted", sam3="scripted")
    manifest = Manifest.from_dataset(
        dataset, dataset.collect_info(), ALL_SAMPLES, made_by=provenance, checkpoint="", threshold=0.5
    )
    with RunFolder.start(folder / f"run {number}", manifest) as run_folder:
        evaluation = Evaluation(run_folder, dataset, dataset.list_samples())
        return _flatten_costs((read, *_measure_evaluation_steps(evaluation)))


def _measure_evaluation_steps(evaluation: Evaluation) -> Iterator[tuple[float, float | None]]:
    solver = Solver(make_scripted_sam3(np.random.default_rng(0)), ScriptedPlanner(SCRIPT))
    yield measure_cost(lambda: evaluation.ask_samples(solver), rounds=1)  # a second round would find all samples done
    predictions = evaluation.load_predictions()
    yield measure_cost(lambda: evaluation.score(predictions))
    summary = evaluation.score(predictions)
    yield measure_cost(lambda: evaluation.write_report(summary, predictions, pages=0))


def write_dataset(folder: Path, number: int) -> Dataset:
    """Write so many queries with masks about `IMAGES` images, in the format of the user's own data."""
    rng = np.random.default_rng(0)
    for index in range(IMAGES):
        clouds = rng.integers(0, 256, (60, 80, 3), dtype=np.uint8)
        cv2.imwrite(
            str(folder / f"{index}.jpg"), cv2.resize(clouds, DATASET_IMAGE_SIZE[::-1], interpolation=cv2.INTER_CUBIC)
        )
        cv2.imwrite(str(folder / f"{index}.png"), 255 * draw_blob(*DATASET_IMAGE_SIZE, rng).astype(np.uint8))
    lines = [
        json.dumps({"image": f"{index % IMAGES}.jpg", "mask": f"{index % IMAGES}.png", "query": f"pebble {index}"})
        for index in range(number)
    ]
    (folder / "queries.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return load_dataset("own", folder, "all")


def measure_cost(work: Callable[[], object], *, rounds: int = ROUNDS) -> tuple[float, float | None]:
    """Return the median milliseconds of processor time, and the peak in MiB of all rounds.

    The first of several rounds warms up: its memory counts, its time does not.
    """
    took: list[float] = []
    peak = measure_peak_mib(lambda: took.extend(1000 * measure_seconds(work, CPU) for _ in range(rounds)))
    return statistics.median(took[1:] or took), peak


def _list_cost_columns(names: Sequence[str]) -> list[str]:
    return [f"{name}, {unit}" for unit in ("ms", "MiB") for name in names]


def _flatten_costs(costs: Sequence[tuple[float, float | None]]) -> list[Cell]:
    """The cells of a row: all times, then all memory."""
    return [cell for column in zip(*costs, strict=True) for cell in column]


def _describe_conditions(image_size: str = "") -> dict[str, Cell]:
    conditions: dict[str, Cell] = {
        "device": describe_device(CPU),
        "time": "processor",
        "memory": "beside what there was before",
    }
    return conditions | ({"pictures": image_size} if image_size else {})
