"""Measure how well examples in some images find their kind in another.

Run it: `python -m evals.studies.cross_image_exemplars --sam3 tiny --out FILE`.

Held-out scenes share a kind of object: examples of it are boxed in the earlier ones, and the last one holds the kind
and others. Shares of the objects in the last scene that an instance shows: of those that are meant, and of the others.
"""

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TypeAlias

import numpy as np

from evals.bootstrap import compute_interval
from evals.studies.checkpoint import MATCH_IOU, SIZES
from sam3_tool import Box, Concept, Image, Instances, Sam3
from sam3_tool.masks import rle
from sam3_tool.synthetic.scenes import HELD_OUT, Scene, SceneObject, draw_scene

FIRST_SCENE = 400_000
"""Number of the first held-out scene; other measurements use other scenes."""
EXAMPLES = 4
"""Images with an example of each kind."""
LOOKS = 3
"""Images with examples of one noun in different colours."""
GREY = 128
"""What is painted around an object of which only the pixels under its mask count."""
ANYTHING = "object"
"""A phrase that every object answers to."""

Example: TypeAlias = tuple[Scene, int]
"""A scene, and the object that is boxed in it."""


@dataclass(frozen=True, eq=False)
class Case:
    """Examples of one kind, and the scene in which it is looked for."""

    examples: tuple[Example, ...]
    target: Scene

    @property
    def sought(self) -> SceneObject:
        """The object of the first example."""
        scene, index = self.examples[0]
        return scene.objects[index]


@dataclass(frozen=True)
class Outcome:
    """Which objects of one scene were shown."""

    meant: tuple[bool, ...]
    """Of each object that is meant: whether an instance shows it."""
    others: tuple[bool, ...]


def generate_cases(*, number_of_examples: int = EXAMPLES, mixed: bool = False) -> Iterator[Case]:
    """Yield cases without end. Each scene is searched once.

    `mixed`: the examples are of one noun, each in another colour; otherwise they have one colour, too.
    """
    seen: dict[object, dict[object, Example]] = {}
    number = FIRST_SCENE
    while True:
        scene = draw_scene(HELD_OUT + number, size=SIZES[number % len(SIZES)])
        number += 1
        first = {_get_kind(thing, mixed): index for index, thing in reversed([*enumerate(scene.objects)])}
        first.pop(None, None)
        shared = next((kind for kind in first if len(seen.get(kind, ())) >= number_of_examples), None)
        if shared is not None and len({_get_kind(thing, mixed) for thing in scene.objects}) > 1:
            yield Case(tuple(seen.pop(shared).values())[:number_of_examples], scene)
        for kind, index in first.items():
            look = scene.objects[index].colour if mixed else number
            seen.setdefault(kind, {}).setdefault(look, (scene, index))


def _get_kind(thing: SceneObject, mixed: bool) -> object:
    """What has to be the same in objects of one kind; None for what has no colour, where colours are mixed."""
    if mixed:
        return thing.noun if thing.colour else None
    return thing.kind


def measure_alike(sam3: Sam3, case: Case) -> dict[str, Outcome]:
    """Look for the kind of the examples: by its phrase, in their images, and by concepts of them."""
    sought, target = case.sought, Image(case.target.pixels)
    concepts = [describe_example(sam3, example) for example in case.examples]
    phrase = " ".join(filter(None, (sought.colour, sought.noun)))

    def is_meant(thing: SceneObject) -> bool:
        return thing.kind == sought.kind

    asked: dict[str, str | Concept] = {
        "its phrase": phrase,
        "1 box": concepts[0],
        "1 mask, grey around it": describe_example(sam3, case.examples[0], grey=True),
        "2 boxes in 2 images": Concept.combine(concepts[:2]),
        "2 boxes, averaged": Concept.combine(concepts[:2], average=True),
        "4 boxes in 4 images": Concept.combine(concepts),
        "4 boxes, averaged": Concept.combine(concepts, average=True),
        "its phrase and 1 box": concepts[0].with_phrase(phrase),
        "its phrase and 4 boxes": Concept.combine(concepts).with_phrase(phrase),
        "its phrase and 4 boxes, averaged": Concept.combine(concepts, average=True).with_phrase(phrase),
    }
    outcomes = {name: judge(sam3.segment(target, what), case.target, is_meant) for name, what in asked.items()}
    own = [index for index, thing in enumerate(case.target.objects) if is_meant(thing)]
    if len(own) > 1:  # where the box itself lies, there is another to be found
        found = sam3.segment(target, boxes=[get_box(case.target, own[0])])
        outcomes["scenes with two of a kind: 1 box in the same image"] = judge(
            found, case.target, is_meant, boxed=own[0]
        )
        outcomes["scenes with two of a kind: 1 box in another image"] = judge(
            sam3.segment(target, concepts[0]), case.target, is_meant, boxed=own[0]
        )
    return outcomes


def measure_mixed(sam3: Sam3, case: Case) -> dict[str, Outcome]:
    """Look for a noun in any colour by examples of different colours."""
    concepts = [describe_example(sam3, example) for example in case.examples]
    asked = {
        "any colour: 1 box": concepts[0],
        "any colour: 3 boxes in 3 colours": Concept.combine(concepts),
        "any colour: 3 boxes in 3 colours, averaged": Concept.combine(concepts, average=True),
    }
    target = Image(case.target.pixels)
    return {
        name: judge(sam3.segment(target, what), case.target, lambda thing: thing.noun == case.sought.noun)
        for name, what in asked.items()
    }


def measure_negative(sam3: Sam3, case: Case) -> dict[str, Outcome]:
    """Look for every object but those of the kind of the examples."""
    target, kind = Image(case.target.pixels), case.sought.kind
    refused = [describe_example(sam3, example, phrase=ANYTHING, label=0) for example in case.examples]
    own = next(index for index, thing in enumerate(case.target.objects) if thing.kind == kind)
    found = {
        "all but: no example": sam3.segment(target, ANYTHING),
        "all but: 1 box in the same image": sam3.segment(
            target, ANYTHING, boxes=[get_box(case.target, own)], box_labels=[0]
        ),
        "all but: 1 box": sam3.segment(target, refused[0]),
        "all but: 4 boxes in 4 images": sam3.segment(target, Concept.combine(refused)),
    }
    return {name: judge(each, case.target, lambda thing: thing.kind != kind) for name, each in found.items()}


def get_box(scene: Scene, index: int) -> Box:
    x0, y0, x1, y1 = map(float, scene.boxes[index])
    return x0, y0, x1, y1


def describe_example(
    sam3: Sam3, example: Example, *, phrase: str | None = None, label: int = 1, grey: bool = False
) -> Concept:
    """Describe an object by its box. `grey`: all that lies beside its mask is painted over first."""
    scene, index = example
    pixels = np.where(scene.masks[index][..., None], scene.pixels, np.uint8(GREY)) if grey else scene.pixels
    return sam3.describe(Image(pixels), phrase, boxes=[get_box(scene, index)], box_labels=[label])


def judge(
    found: Instances, scene: Scene, is_meant: Callable[[SceneObject], bool], *, boxed: int | None = None
) -> Outcome:
    """Say which objects an instance shows. `boxed`: an object that does not count."""
    overlap = rle.compute_ious(rle.encode_masks(scene.masks), found.rles)
    shown = [bool((row > MATCH_IOU).any()) for row in overlap] if len(found) else [False] * len(scene.objects)
    counted = [
        (is_meant(thing), kept)
        for index, (thing, kept) in enumerate(zip(scene.objects, shown, strict=True))
        if index != boxed
    ]
    return Outcome(*(tuple(kept for meant, kept in counted if meant is side) for side in (True, False)))


def measure_exemplars(sam3: Sam3, *, number: int) -> dict[str, dict[str, float]]:
    """Measure every way of showing and naming, on `number` cases of each sort."""
    rows: dict[str, list[Outcome]] = {}
    alike, mixed = generate_cases(), generate_cases(number_of_examples=LOOKS, mixed=True)
    for cases, measure in ((alike, measure_alike), (mixed, measure_mixed), (generate_cases(), measure_negative)):
        for case in islice(cases, number):
            for name, outcome in measure(sam3, case).items():
                rows.setdefault(name, []).append(outcome)
    return {name: summarize_outcomes(outcomes) for name, outcomes in rows.items()}


def summarize_outcomes(outcomes: Sequence[Outcome]) -> dict[str, float]:
    """Compute the shares that were shown, with 95 % intervals over scenes."""
    summary: dict[str, float] = {"scenes": len(outcomes)}
    for side in ("meant", "others"):
        kept: Sequence[Sequence[bool]] = [getattr(outcome, side) for outcome in outcomes]
        flat = np.array([each for scene in kept for each in scene], float)
        scenes = [str(place) for place, scene in enumerate(kept) for _ in scene]

        def compute_share(chosen: Sequence[int], flat: np.ndarray = flat) -> float:
            return float(flat[list(chosen)].mean())

        interval = compute_interval(scenes, compute_share)
        numbers = {side: flat.mean(), f"{side} low": interval.low, f"{side} high": interval.high}
        summary |= {name: round(float(value), 3) for name, value in numbers.items()}
    return summary


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sam3", default="tiny", help="'tiny', 'facebook/sam3' or a folder")
    parser.add_argument("--number", type=int, default=150, help="scenes that are searched, of each sort (default 150)")
    parser.add_argument("--out", type=Path, help="write the numbers here as JSON, too")
    arguments = parser.parse_args()
    text = json.dumps(measure_exemplars(Sam3.load(arguments.sam3), number=arguments.number), indent=2)
    print(text)
    if arguments.out:
        arguments.out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
