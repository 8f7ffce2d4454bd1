"""What is done to masks, beside how the published agent does it: `sam3-agent bench masks`.

Blobs of 1 to 25 % of the height on 1920 x 1080, one thread. Also what many masks take up in memory.
"""

import gc
import tracemalloc
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

import cv2
import numpy as np
import torch
from torch.nn import functional

from agent.episode import Workspace
from bench import rivals
from bench.draw import HEIGHT, WIDTH, scene
from bench.machine import described
from bench.tables import Cell, Table
from bench.timing import side_by_side
from sam3_tool import Instances, Picture, remove_overlaps
from sam3_tool.backends.upsampling import cut
from sam3_tool.draw import draw_marks

CPU = torch.device("cpu")
HELD, HELD_SIZE = 200, (2160, 3840)
UPSAMPLED, CELLS = 100, 288
Work = Callable[[tuple[Picture, Instances]], object]


def measure(numbers: Sequence[int] = (10, 30, 100), *, rounds: int = 3) -> list[Table]:
    """Overlaps and drawing for so many masks, beside the published way; upsampling; memory."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    return [*beside_published(numbers, rounds), upsampling(rounds), memory()]


def beside_published(numbers: Sequence[int], rounds: int) -> list[Table]:
    overlaps: dict[str, Work] = {
        "ours": lambda given: remove_overlaps(replace(given[1])),
        "published": lambda given: rivals.without_overlaps(given[1].masks, given[1].scores),
    }
    drawing: dict[str, Work] = {
        "ours": lambda given: draw_marks(*given),
        "published": lambda given: rivals.drawn(given[0], given[1].masks),
    }
    return [
        _compared("masks-overlaps", "Overlap removal, masks not yet encoded", overlaps, numbers, rounds),
        _compared("masks-drawing", "Drawing all masks with their numbers", drawing, numbers, rounds),
    ]


def _compared(name: str, title: str, ways: Mapping[str, Work], numbers: Sequence[int], rounds: int) -> Table:
    rows: list[Sequence[Cell]] = []
    for number in numbers:
        took = side_by_side(ways, partial(_scene, number), CPU, rounds=rounds)
        ours, published = took["ours"].median, took["published"].median
        rows.append((number, ours, published, published / ours))
    return Table(name, title, ("masks", "ours, ms", "published, ms", "published / ours"), rows, _about())


def _scene(number: int, _: int) -> tuple[Picture, Instances]:
    return scene(HEIGHT, WIDTH, number)


def upsampling(rounds: int) -> Table:
    """Logits of the published size to masks of the picture's, where masks can be and everywhere."""
    torch.manual_seed(0)
    small = [cv2.resize(mask.astype(np.float32), (CELLS, CELLS)) for mask in scene(HEIGHT, WIDTH, UPSAMPLED)[1].masks]
    logits = 8 * torch.from_numpy(np.stack(small)) - 4
    ways: dict[str, Callable[[torch.Tensor], object]] = {
        "ours": lambda logits: cut(logits, HEIGHT, WIDTH),
        "everywhere": lambda logits: [
            functional.interpolate(one[None, None], size=(HEIGHT, WIDTH), mode="bilinear") > 0 for one in logits
        ],
    }
    took = side_by_side(ways, lambda _: logits, CPU, rounds=rounds)
    ours, everywhere = took["ours"].median, took["everywhere"].median
    columns = ("masks", "ours, ms", "everywhere, ms", "everywhere / ours")
    rows = [(UPSAMPLED, ours, everywhere, everywhere / ours)]
    return Table("masks-upsampling", "Upsampling and cutting", columns, rows, _about())


def memory() -> Table:
    """A workspace of many masks in a large picture: what it takes up, and what it would as arrays."""
    height, width = HELD_SIZE
    found = scene(height, width, HELD)[1]
    dense = found.masks.nbytes / 2**20
    gc.collect()
    tracemalloc.start()
    workspace = Workspace(height, width).found(found)
    held = tracemalloc.get_traced_memory()[0] / 2**20
    tracemalloc.stop()
    columns = ("masks", "picture", "workspace, MiB", "as arrays, MiB")
    rows = [(len(workspace), f"{width} x {height}", held, dense)]
    return Table("masks-memory", "Memory of a workspace", columns, rows, _about())


def _about() -> dict[str, Cell]:
    return {"device": described(CPU), "picture": f"{WIDTH} x {HEIGHT}"}
