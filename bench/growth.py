"""How time and memory grow with masks, megapixels and concurrent episodes: `sam3-agent bench growth`.

Nothing should grow faster than what is asked for; where a cost would be quadratic (every mask with every other), the
table shows at which size that begins to count.
"""

import resource
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import cv2
import numpy as np
import torch

from agent import Decision, GrammarPlanner, ScriptedPlanner, Task, run
from agent.episode import Workspace
from bench.draw import scene
from bench.machine import described
from bench.tables import Cell, Table
from bench.timing import clock
from sam3_tool import Instances, Picture, Sam3, ScriptedBackend, remove_overlaps
from sam3_tool.draw import draw_marks
from sam3_tool.training.scenes import HELD_OUT, draw_scene

CPU = torch.device("cpu")
Result = TypeVar("Result")
MASKS = (1, 10, 100, 300, 1000)
MEGAPIXELS = (0.1, 0.5, 2, 8, 24, 50)
EPISODES = (1, 2, 4, 8, 16, 32)
SIZE = (540, 960)
"""Of the picture in which masks are counted: 1,000 of them fit into memory as arrays."""


def measure() -> list[Table]:
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    return [masks(), megapixels(), episodes()]


def masks() -> Table:
    """Milliseconds for all of so many masks."""
    everything = scene(*SIZE, max(MASKS))
    rows = [(number, *_mask_work(everything[0], everything[1][range(number)])) for number in MASKS]
    columns = ("masks", "into a workspace, ms", "overlaps, ms", "relate, ms", "draw, ms", "workspace, KiB")
    return Table("growth-masks", "Growth with masks", columns, rows, _about(f"{SIZE[1]} x {SIZE[0]}"))


def _mask_work(picture: Picture, found: Instances) -> Sequence[Cell]:
    fresh = Instances(found.masks, found.boxes, found.scores, found.presence, found.phrase)
    workspace, adding = _took(lambda: Workspace(picture.height, picture.width).found(fresh))
    _, tidying = _took(lambda: remove_overlaps(fresh))
    _, relating = _took(lambda: _related(picture, fresh))
    _, drawing = _took(lambda: draw_marks(picture, fresh))
    return adding, tidying, relating, drawing, sum(len(one.rle.counts) for one in workspace) / 1024


def _related(picture: Picture, found: Instances) -> None:
    """One call that compares every mask with every other."""
    sam3 = Sam3(ScriptedBackend({None: {found.phrase: found}}))
    every = list(range(1, len(found) + 1))
    calls = [
        Decision("segment", f'{{"phrases": ["{found.phrase}"], "duplicates": true}}'),
        Decision("relate", f'{{"ids": {every}, "relation": "left_of", "to": {every}}}'),
        Decision("answer", '{"ids": [1]}'),
    ]
    assert run(Task(picture, "all"), ScriptedPlanner(calls), sam3).outcome == "answered"


def megapixels() -> Table:
    """One phrase in pictures of all sizes, the embedded SAM 3."""
    sam3 = Sam3.load("tiny")
    rows = [(size, *_picture_work(sam3, size)) for size in MEGAPIXELS]
    columns = ("megapixels", "new picture and phrase, ms", "further phrase, ms", "draw, ms", "peak of the process, MiB")
    return Table("growth-megapixels", "Growth with the picture", columns, rows, _about("4 x 3"))


def _picture_work(sam3: Sam3, megapixels: float) -> Sequence[Cell]:
    height = round((megapixels * 1e6 * 3 / 4) ** 0.5)
    small = draw_scene(HELD_OUT, size=(640, 480)).pixels
    picture = Picture(cv2.resize(small, (height * 4 // 3, height)))
    _, first = _took(lambda: sam3.segment(picture, "shape"))
    found, further = _took(lambda: sam3.segment(picture, "object"))
    _, drawing = _took(lambda: draw_marks(picture, found))
    return first, further, drawing, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def episodes() -> Table:
    """Concurrent episodes of three calls each on one SAM 3; the clock's time, since they share the processor."""
    sam3 = Sam3.load("tiny")
    pictures = [Picture(draw_scene(HELD_OUT + seed).pixels) for seed in range(max(EPISODES))]
    rows = []
    for number in EPISODES:
        fresh = [Picture(np.roll(picture.pixels, number, axis=1)) for picture in pictures]
        began = time.perf_counter()
        with ThreadPoolExecutor(number) as pool:
            list(pool.map(lambda picture: run(Task(picture, "the largest shape"), GrammarPlanner(), sam3), fresh))
        rows.append((number, 1000 * (time.perf_counter() - began) / len(fresh)))
    return Table("growth-episodes", "Concurrent episodes", ("at a time", "ms an episode"), rows, _about("drawn scenes"))


def _took(work: Callable[[], Result]) -> tuple[Result, float]:
    """What it gave, and its milliseconds."""
    began = clock(CPU)
    given = work()
    return given, 1000 * (clock(CPU) - began)


def _about(pictures: str) -> dict[str, Cell]:
    return {"device": described(CPU), "pictures": pictures}
