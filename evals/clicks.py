"""How good masks by clicks are, click by click, on held-out generated scenes: `python -m evals.clicks --sam3 tiny`.

The standard protocol: the first click is the object's innermost pixel, each further one the middle of the deepest error
of the answer so far (the candidate predicted to be best), which is given again as a mask. Beside it, one exact box.
"""

import argparse
import json
from collections.abc import Iterator
from itertools import count, islice
from pathlib import Path

import numpy as np

from evals.checkpoint import SIZES
from sam3_tool import Instances, Picture, Sam3
from sam3_tool.training.clicking import centre_click, next_click
from sam3_tool.training.scenes import HELD_OUT, draw_scene

FIRST_SCENE = 300_000
"""Of the held-out scenes, whose others serve other measurements."""
OBJECTS_PER_SCENE = 3
CLICKS = 4

Object = tuple[Picture, np.ndarray, tuple[float, float, float, float]]
"""A picture, the mask of one object in it, bool (H, W), and its box."""


def objects() -> Iterator[Object]:
    """Of held-out scenes; of each scene a few at random."""
    for number in count(FIRST_SCENE):
        scene = draw_scene(HELD_OUT + number, size=SIZES[number % len(SIZES)])
        chosen = np.random.default_rng(number).permutation(len(scene.objects))[:OBJECTS_PER_SCENE]
        picture, masks, boxes = Picture(scene.pixels), scene.masks, scene.boxes
        for index in chosen:
            x0, y0, x1, y1 = map(float, boxes[index])
            yield picture, masks[index], (x0, y0, x1, y1)


def measure(sam3: Sam3, *, number: int = 300, mend: bool = True) -> dict[str, float]:
    """Mean IoU of the candidate predicted to be best, after each click and for a box. `mend`: the answer so far goes
    back as a mask with the next click."""
    rows = [
        [*click_by_click(sam3, picture, truth, mend=mend), iou(best(sam3.refine(picture, box=box)), truth)]
        for picture, truth, box in islice(objects(), number)
    ]
    names = [*(f"{clicks} click{'s' * (clicks > 1)}" for clicks in range(1, CLICKS + 1)), "box"]
    return dict(zip(names, np.mean(rows, axis=0).tolist(), strict=True)) | {"objects": len(rows)}


def click_by_click(sam3: Sam3, picture: Picture, truth: np.ndarray, *, mend: bool = True) -> list[float]:
    """IoU after each of `CLICKS` clicks."""
    clicks, ious = [centre_click(truth)], []
    mask: np.ndarray | None = None
    for _ in range(CLICKS):
        points = [(x, y) for x, y, _ in clicks]
        found = sam3.refine(picture, points, [label for *_, label in clicks], mask=mask if mend else None)
        mask = best(found)
        ious.append(iou(mask, truth))
        clicks.append(next_click(truth, mask))
    return ious


def best(found: Instances) -> np.ndarray:
    """bool, (H, W): what a user sees first; empty where nothing was found."""
    return np.asarray(found.masks[:1].any(axis=0))


def iou(mask: np.ndarray, truth: np.ndarray) -> float:
    return float((mask & truth).sum() / (mask | truth).sum())


def table(numbers: dict[str, float]) -> str:
    lines = [f"{name:<10} {value:.3f}" for name, value in numbers.items() if name != "objects"]
    return "\n".join([f"mean IoU of {numbers['objects']:.0f} objects after", *lines])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sam3", default="tiny", help="'tiny', 'facebook/sam3' or a folder")
    parser.add_argument("--number", type=int, default=300, help="objects (default 300)")
    parser.add_argument("--no-mask", action="store_true", help="give clicks alone, not the answer so far")
    parser.add_argument("--out", type=Path, help="write the numbers here as JSON, too")
    arguments = parser.parse_args()
    numbers = measure(Sam3.load(arguments.sam3), number=arguments.number, mend=not arguments.no_mask)
    print(table(numbers))
    if arguments.out:
        rounded = {name: round(value, 4) for name, value in numbers.items()}
        arguments.out.write_text(json.dumps(rounded, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
