"""Work on masks beside the published agent's way, and their memory: `sam3-agent bench masks`.

Masks are blobs of 1 to 25 % of the height in 1920 x 1080 pixels; there is one thread.
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

from agent.core.workspace import Workspace
from bench.harness.machine import describe_device
from bench.harness.tables import Cell, Table
from bench.harness.timing import time_alternatives
from bench.suites import baselines
from bench.suites.drawing import HEIGHT, WIDTH, draw_blob_scene
from sam3_tool import Image, Instances, remove_overlaps
from sam3_tool.backends.transformers.layers.upsampling import threshold_upsampled
from sam3_tool.drawing.overlay import draw_marks

CPU = torch.device("cpu")
HELD_MASKS, HELD_SIZE = 200, (2160, 3840)
UPSAMPLED, CELLS = 100, 288
Work = Callable[[tuple[Image, Instances]], object]


def measure_masks(numbers: Sequence[int] = (10, 30, 100), *, rounds: int = 3) -> list[Table]:
    """Measure overlaps and drawing for so many masks beside the published way, upsampling, and memory."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    return [*compare_with_published(numbers, rounds), measure_upsampling(rounds), measure_workspace_memory()]


def compare_with_published(numbers: Sequence[int], rounds: int) -> list[Table]:
    """Time overlap removal and drawing, ours and the published way."""
    overlaps: dict[str, Work] = {
        "ours": lambda given: remove_overlaps(replace(given[1])),
        "published": lambda given: baselines.find_non_overlapping(given[1].masks, given[1].scores),
    }
    drawing: dict[str, Work] = {
        "ours": lambda given: draw_marks(*given),
        "published": lambda given: baselines.draw_masks(given[0], given[1].masks),
    }
    return [
        _compare_ways("masks-overlaps", "Overlap removal, masks not yet encoded", overlaps, numbers, rounds),
        _compare_ways("masks-drawing", "Drawing all masks with their numbers", drawing, numbers, rounds),
    ]


def _compare_ways(name: str, title: str, ways: Mapping[str, Work], numbers: Sequence[int], rounds: int) -> Table:
    rows: list[Sequence[Cell]] = []
    for number in numbers:
        took = time_alternatives(ways, partial(_draw_scene, number), CPU, rounds=rounds)
        ours, published = took["ours"].median, took["published"].median
        rows.append((number, ours, published, published / ours))
    return Table(name, title, ("masks", "ours, ms", "published, ms", "published / ours"), rows, _describe_conditions())


def _draw_scene(number: int, _: int) -> tuple[Image, Instances]:
    return draw_blob_scene(HEIGHT, WIDTH, number)


def measure_upsampling(rounds: int) -> Table:
    """Time the upsampling of logits to masks of the image's size: only where masks can be, and everywhere."""
    torch.manual_seed(0)
    small = [
        cv2.resize(mask.astype(np.float32), (CELLS, CELLS))
        for mask in draw_blob_scene(HEIGHT, WIDTH, UPSAMPLED)[1].masks
    ]
    logits = 8 * torch.from_numpy(np.stack(small)) - 4
    ways: dict[str, Callable[[torch.Tensor], object]] = {
        "ours": lambda logits: threshold_upsampled(logits, HEIGHT, WIDTH),
        "everywhere": lambda logits: [
            functional.interpolate(mask_logits[None, None], size=(HEIGHT, WIDTH), mode="bilinear") > 0
            for mask_logits in logits
        ],
    }
    took = time_alternatives(ways, lambda _: logits, CPU, rounds=rounds)
    ours, everywhere = took["ours"].median, took["everywhere"].median
    columns = ("masks", "ours, ms", "everywhere, ms", "everywhere / ours")
    rows = [(UPSAMPLED, ours, everywhere, everywhere / ours)]
    return Table("masks-upsampling", "Upsampling and cutting", columns, rows, _describe_conditions())


def measure_workspace_memory() -> Table:
    """Measure the memory of a workspace of many masks in a large image, beside that of arrays."""
    height, width = HELD_SIZE
    found = draw_blob_scene(height, width, HELD_MASKS)[1]
    dense = found.masks.nbytes / 2**20
    gc.collect()
    tracemalloc.start()
    workspace = Workspace(height, width).with_search(found)
    held = tracemalloc.get_traced_memory()[0] / 2**20
    tracemalloc.stop()
    columns = ("masks", "picture", "workspace, MiB", "as arrays, MiB")
    rows = [(len(workspace), f"{width} x {height}", held, dense)]
    return Table("masks-memory", "Memory of a workspace", columns, rows, _describe_conditions())


def _describe_conditions() -> dict[str, Cell]:
    return {"device": describe_device(CPU), "picture": f"{WIDTH} x {HEIGHT}"}
