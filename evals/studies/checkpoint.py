"""Measure how good a checkpoint is at the generated world: `python -m evals.studies.checkpoint --sam3 tiny`.

On held-out scenes, through the product's own path (`Sam3`): text prompts with 40 % negatives (cgF1 and its factors),
whether a positive exemplar selects its kind, and text with a negative exemplar.
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from itertools import count, islice
from pathlib import Path

import numpy as np

from evals.datasets.synthetic.scenes import HELD_OUT
from evals.metrics.cgf1 import score_pairs
from sam3_tool import ConceptPrompt, Image, Instances, Sam3
from sam3_tool.masks import rle
from sam3_tool.masks.rle import RleMask
from sam3_tool.synthetic.phrases import VISUAL_PHRASE, Kind, TrainingPrompt, ask_about_scene
from sam3_tool.synthetic.scenes import Scene, draw_scene

TEXT_KINDS: tuple[Kind, ...] = ("positive", "positive", "positive", "negative", "negative")
SIZES = ((320, 240), (240, 320), (256, 256), (384, 216), (240, 180), (640, 480))
"""(width, height) of held-out scenes, in turn."""
MATCH_IOU = 0.4
"""IoU above which an instance is said to show an object."""


def draw_scenes(first_number: int) -> Iterator[Scene]:
    """Held-out scenes, numbered from `first_number`."""
    return (draw_scene(HELD_OUT + k, size=SIZES[k % len(SIZES)]) for k in count(first_number))


def measure_checkpoint(sam3: Sam3, *, pairs: int = 500) -> dict[str, dict[str, float]]:
    """All three measurements; `pairs` is the number of text prompts, the other two follow it."""
    return {
        "text": score_pairs(_answer_prompts(sam3, _generate_text_prompts(pairs))),
        "exemplar": measure_exemplar_selection(sam3, scenes_wanted=-(-pairs // 4)),
        "text and negative box": score_pairs(_answer_prompts(sam3, _generate_negative_prompts(pairs // 2))),
    }


def _generate_text_prompts(pairs: int) -> Iterator[tuple[Scene, TrainingPrompt]]:
    rng = np.random.default_rng(HELD_OUT)
    asked = ((scene, ask_about_scene(scene, kind, rng)) for scene in draw_scenes(0) for kind in TEXT_KINDS)
    yield from islice(asked, pairs)


def _generate_negative_prompts(pairs: int) -> Iterator[tuple[Scene, TrainingPrompt]]:
    """Text less the boxed kind; where the scene allows none, that kind of question is not asked."""
    rng = np.random.default_rng(HELD_OUT + 1)
    asked = ((scene, ask_about_scene(scene, "text_minus_box", rng)) for scene in draw_scenes(100_000))
    yield from islice(((scene, prompt) for scene, prompt in asked if prompt.kind == "text_minus_box"), pairs)


def _answer_prompts(
    sam3: Sam3, prompts: Iterator[tuple[Scene, TrainingPrompt]]
) -> Iterator[tuple[Sequence[RleMask], Sequence[RleMask]]]:
    for scene, prompt in prompts:
        found = _segment_scene(sam3, scene, prompt.phrase, prompt.exemplars, prompt.labels)
        yield rle.encode_masks(found.masks), rle.encode_masks(scene.masks[list(prompt.targets)])


def _segment_scene(sam3: Sam3, scene: Scene, phrase: str, exemplars: Sequence[int], labels: Sequence[int]) -> Instances:
    boxes = [tuple(map(float, scene.boxes[index])) for index in exemplars]
    concept = ConceptPrompt(None if phrase == VISUAL_PHRASE else phrase, tuple(boxes), tuple(labels))  # type: ignore[arg-type]
    return sam3.segment_batch([(Image(scene.pixels), concept)])[0]


def measure_exemplar_selection(sam3: Sam3, *, scenes_wanted: int) -> dict[str, float]:
    """One positive box in scenes with two or more objects of its kind and one or more of another.

    Shares of the objects that an instance shows: of the same kind (the boxed object itself not counted), of others.
    """
    same, other, used = [], [], 0
    for number, scene in enumerate(draw_scenes(200_000)):
        boxed = _choose_repeated_object(scene, np.random.default_rng(number))
        if boxed is None:
            continue
        found = _segment_scene(sam3, scene, VISUAL_PHRASE, (boxed,), (1,))
        overlap = rle.compute_ious(rle.encode_masks(scene.masks), rle.encode_masks(found.masks))
        for index, thing in enumerate(scene.objects):
            kept = bool((overlap[index] > MATCH_IOU).any())
            if thing.kind != scene.objects[boxed].kind:
                other.append(kept)
            elif index != boxed:
                same.append(kept)
        used += 1
        if used == scenes_wanted:
            return {"same kind kept": float(np.mean(same)), "other kinds kept": float(np.mean(other)), "scenes": used}
    raise AssertionError("scenes never end")


def _choose_repeated_object(scene: Scene, rng: np.random.Generator) -> int | None:
    """An object of which there is another of its kind, in a scene that has other kinds too."""
    kinds = [thing.kind for thing in scene.objects]
    repeated = [index for index, kind in enumerate(kinds) if kinds.count(kind) > 1]
    return int(rng.choice(repeated)) if repeated and len(set(kinds)) > 1 else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sam3", default="tiny", help="'tiny', 'facebook/sam3' or a folder")
    parser.add_argument("--pairs", type=int, default=500, help="text prompts (default 500)")
    parser.add_argument("--out", type=Path, help="write the numbers here as JSON, too")
    arguments = parser.parse_args()
    numbers = measure_checkpoint(Sam3.load(arguments.sam3), pairs=arguments.pairs)
    text = json.dumps({name: {k: round(v, 3) for k, v in row.items()} for name, row in numbers.items()}, indent=2)
    print(text)
    if arguments.out:
        arguments.out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
