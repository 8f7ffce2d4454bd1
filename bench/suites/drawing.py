"""The cost of drawing and comparing masks of a 1920 x 1080 image on one thread: `python -m bench.suites.drawing`."""

import time
from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np

from bench.harness.timing import time_runs
from sam3_tool import Image, Instances, remove_overlaps
from sam3_tool.drawing.contact_sheet import MAX_MASKS, draw_contact_sheet
from sam3_tool.drawing.overlay import draw_marks, draw_zoom_pair
from sam3_tool.masks.boxes import masks_to_boxes

HEIGHT, WIDTH, MASKS, ON_SHEETS, COMPARED, ROUNDS = 1080, 1920, 20, 30, 100, 15


def draw_blob_scene(height: int, width: int, n: int, *, seed: int = 0) -> tuple[Image, Instances]:
    """Return a gradient image and `n` wavy blobs of all sizes, some overlapping; the same ones for the same seed."""
    rng = np.random.default_rng(seed)
    across, down = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    image = Image(np.stack([across, down, 255 - across], axis=2).astype(np.uint8))
    masks = np.stack([draw_blob(height, width, rng) for _ in range(n)])
    return image, Instances(masks, masks_to_boxes(masks), np.linspace(0.99, 0.51, n, dtype=np.float32), 0.99, "blob")


def draw_blob(height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """Return a wavy ellipse, bool (height, width), with a radius of 1 to 25 % of the height."""
    angles = np.linspace(0, 2 * np.pi, 360, endpoint=False)
    waves = sum(rng.uniform(0, 0.12) * np.sin(k * angles + rng.uniform(0, 6)) for k in range(2, 9))
    radius = height * rng.uniform(0.01, 0.25) * (1 + waves)
    center = rng.uniform(0, (width, height))
    points = center + np.stack([rng.uniform(0.6, 1.8) * radius * np.cos(angles), radius * np.sin(angles)], axis=1)
    return cv2.fillPoly(np.zeros((height, width), np.uint8), [points.round().astype(np.int32)], 1).astype(bool)


def draw_contact_sheets(image: Image, instances: Instances) -> list[Image]:
    """Return as many contact sheets as all of these masks take."""
    rles = instances.rles
    return [draw_contact_sheet(image, rles[start : start + MAX_MASKS]) for start in range(0, len(rles), MAX_MASKS)]


def main() -> None:
    cv2.setNumThreads(1)
    image, instances = draw_blob_scene(HEIGHT, WIDTH, MASKS)
    many = draw_blob_scene(HEIGHT, WIDTH, COMPARED)[1]
    biggest = int(instances.areas.argmax())
    jobs: dict[str, Callable[[int], object]] = {
        f"draw_marks, {MASKS} masks": lambda run: draw_marks(image, instances),
        "draw_zoom_pair, the largest mask": lambda run: draw_zoom_pair(
            image, instances.masks[biggest], instances.boxes[biggest]
        ),
        f"contact sheets of {ON_SHEETS} masks": lambda run: draw_contact_sheets(image, many[range(ON_SHEETS)]),
        f"overlaps of {COMPARED} masks, encoding them": lambda run: remove_overlaps(replace(many)),
        f"overlaps of {COMPARED} masks that are encoded": lambda run: remove_overlaps(many),
    }
    print(f"one thread, {WIDTH} x {HEIGHT}, processor time, {ROUNDS} rounds")
    for name, work in jobs.items():
        print(f"{name}: {time_runs(work, runs=ROUNDS, clock=time.process_time)}")


if __name__ == "__main__":
    main()
