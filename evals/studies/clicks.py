"""Measure masks by clicks, click by click, on held-out generated scenes.

Run it: `python -m evals.studies.clicks --sam3 tiny`.

The standard protocol: the first click is the object's innermost pixel, each further one the middle of the deepest error
of the answer so far (the candidate predicted to be best), which is given again as a mask. Beside it, one exact box.

`--redraw` asks another question: whether masks that a phrase found get better where they are drawn again by their own
box, by that box and a click in their middle, or as two of these three say.
"""

import argparse
import json
from collections.abc import Iterator
from itertools import count, islice
from pathlib import Path

import numpy as np

from evals.reports.tables import format_columns
from evals.studies.checkpoint import SIZES
from sam3_tool import ConceptPrompt, Image, Instances, Sam3
from sam3_tool.masks.boxes import masks_to_boxes
from sam3_tool.synthetic.scenes import HELD_OUT, draw_scene
from sam3_tool.training.clicking import find_centre_click, find_next_click

FIRST_SCENE = 300_000
"""Number of the first held-out scene; other measurements use other scenes."""
OBJECTS_PER_SCENE = 3
CLICKS = 4
FIRST_REDRAWN = 610_000
"""Number of the first scene whose masks are drawn again."""
LEAST_IOU = 0.3
"""Of a mask that a phrase found, for it to be one of the object."""

ObjectSample = tuple[Image, np.ndarray, tuple[float, float, float, float]]
"""An image, the mask of one object in it, bool (H, W), and its box."""


def generate_objects() -> Iterator[ObjectSample]:
    """Generate objects of held-out scenes, a few at random from each."""
    for number in count(FIRST_SCENE):
        scene = draw_scene(HELD_OUT + number, size=SIZES[number % len(SIZES)])
        chosen = np.random.default_rng(number).permutation(len(scene.objects))[:OBJECTS_PER_SCENE]
        image, masks, boxes = Image(scene.pixels), scene.masks, scene.boxes
        for index in chosen:
            x0, y0, x1, y1 = map(float, boxes[index])
            yield image, masks[index], (x0, y0, x1, y1)


def measure_clicks(sam3: Sam3, *, number: int = 300, feed_mask: bool = True) -> dict[str, float]:
    """Mean IoU of the candidate predicted to be best, after each click and for a box.

    `feed_mask`: the answer so far goes back as a mask with the next click.
    """
    rows = [
        [
            *measure_click_sequence(sam3, image, truth, feed_mask=feed_mask),
            compute_iou(select_best_mask(sam3.refine(image, box=box)), truth),
        ]
        for image, truth, box in islice(generate_objects(), number)
    ]
    names = [*(f"{clicks} click{'s' * (clicks > 1)}" for clicks in range(1, CLICKS + 1)), "box"]
    return dict(zip(names, np.mean(rows, axis=0).tolist(), strict=True)) | {"objects": len(rows)}


def measure_click_sequence(sam3: Sam3, image: Image, truth: np.ndarray, *, feed_mask: bool = True) -> list[float]:
    """IoU after each of `CLICKS` clicks."""
    clicks, ious = [find_centre_click(truth)], []
    mask: np.ndarray | None = None
    for _ in range(CLICKS):
        points = [(x, y) for x, y, _ in clicks]
        found = sam3.refine(image, points, [label for *_, label in clicks], mask=mask if feed_mask else None)
        mask = select_best_mask(found)
        ious.append(compute_iou(mask, truth))
        clicks.append(find_next_click(truth, mask))
    return ious


def select_best_mask(found: Instances) -> np.ndarray:
    """bool, (H, W): what a user sees first; empty where nothing was found."""
    return np.asarray(found.masks[:1].any(axis=0))


def compute_iou(mask: np.ndarray, truth: np.ndarray) -> float:
    return float((mask & truth).sum() / (mask | truth).sum())


def measure_redrawing(sam3: Sam3, *, scenes: int = 40) -> dict[str, float]:
    """Measure masks of nouns, and what becomes of them where they are drawn again without knowing the truth.

    Args:
        sam3: The segmenter.
        scenes: Held-out scenes; each noun in them is asked for.

    Returns:
        Way -> mean IoU with the object that the phrase's mask overlaps most, by at least `LEAST_IOU`; and how many
        masks there were.
    """
    rows = [row for number in range(FIRST_REDRAWN, FIRST_REDRAWN + scenes) for row in _redraw_scene(sam3, number)]
    names = ("phrase", "its box", "its box and middle", "two of three")
    return {**dict(zip(names, np.mean(rows, axis=0).tolist(), strict=True)), "masks": len(rows)}


def _redraw_scene(sam3: Sam3, number: int) -> Iterator[list[float]]:
    scene = draw_scene(HELD_OUT + number, size=SIZES[number % len(SIZES)])
    image, nouns = Image(scene.pixels), dict.fromkeys(thing.noun for thing in scene.objects)
    for noun, found in zip(nouns, sam3.segment_batch([(image, ConceptPrompt(noun)) for noun in nouns]), strict=True):
        for mask in found.masks:
            ious = [compute_iou(mask, truth) for truth in scene.masks]
            best = int(np.argmax(ious))
            if ious[best] < LEAST_IOU or scene.objects[best].noun != noun:
                continue
            x0, y0, x1, y1 = map(float, masks_to_boxes(mask[None])[0])
            x, y, _ = find_centre_click(mask)
            by_box = select_best_mask(sam3.refine(image, box=(x0, y0, x1, y1)))
            by_both = select_best_mask(sam3.refine(image, [(x, y)], [1], box=(x0, y0, x1, y1)))
            voted = np.sum([mask, by_box, by_both], axis=0) >= 2
            yield [compute_iou(drawn, scene.masks[best]) for drawn in (mask, by_box, by_both, voted)]


def format_clicks_table(numbers: dict[str, float]) -> str:
    rows = [(name, f"{value:.3f}") for name, value in numbers.items() if name != "objects"]
    return f"mean IoU of {numbers['objects']:.0f} objects after\n{format_columns(rows)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sam3", default="tiny", help="'tiny', 'facebook/sam3' or a folder")
    parser.add_argument("--number", type=int, default=300, help="objects (default 300)")
    parser.add_argument("--no-mask", action="store_true", help="give clicks alone, not the answer so far")
    parser.add_argument("--redraw", action="store_true", help="draw masks of phrases again, on 40 scenes, instead")
    parser.add_argument("--out", type=Path, help="write the numbers here as JSON, too")
    arguments = parser.parse_args()
    if arguments.redraw:
        redrawn = measure_redrawing(Sam3.load(arguments.sam3))
        print(f"mean IoU of {redrawn.pop('masks'):.0f} masks that phrases found, drawn again")
        print(format_columns([(name, f"{value:.3f}") for name, value in redrawn.items()]))
        return
    numbers = measure_clicks(Sam3.load(arguments.sam3), number=arguments.number, feed_mask=not arguments.no_mask)
    print(format_clicks_table(numbers))
    if arguments.out:
        rounded = {name: round(value, 4) for name, value in numbers.items()}
        arguments.out.write_text(json.dumps(rounded, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
