"""Measure how well an exemplar in one image finds its kind in another.

Run it: `python -m evals.studies.cross_image_exemplars --sam3 tiny`.

Pairs of held-out scenes that share a kind of object: one object is boxed in the first, and the second holds the same
kind and others. Shares of the objects in the second that an instance shows: of the same kind, of others.
"""

import argparse
from collections.abc import Iterator
from itertools import islice

import numpy as np

from evals.studies.checkpoint import MATCH_IOU, SIZES
from sam3_tool import Image, Sam3
from sam3_tool.masks import rle
from sam3_tool.synthetic.scenes import HELD_OUT, Scene, draw_scene

FIRST_SCENE = 400_000
"""Number of the first held-out scene; other measurements use other scenes."""

ScenePair = tuple[Scene, int, Scene]
"""A scene, the object boxed in it, and a scene with its kind and others."""


def generate_pairs() -> Iterator[ScenePair]:
    """Each scene is searched once."""
    seen: dict[tuple[str, str | None], tuple[Scene, int]] = {}
    number = FIRST_SCENE
    while True:
        scene = draw_scene(HELD_OUT + number, size=SIZES[number % len(SIZES)])
        kinds = {thing.kind: index for index, thing in enumerate(scene.objects)}
        shared = next((kind for kind in kinds if kind in seen), None)
        if shared is not None and len(kinds) > 1:
            yield *seen.pop(shared), scene
        seen |= {kind: (scene, index) for kind, index in kinds.items()}
        number += 1


def measure_exemplars(sam3: Sam3, *, number: int = 100) -> dict[str, float]:
    same: list[bool] = []
    other: list[bool] = []
    for scene, boxed, second in islice(generate_pairs(), number):
        x0, y0, x1, y1 = map(float, scene.boxes[boxed])
        found = sam3.segment(Image(second.pixels), boxes=[(x0, y0, x1, y1)], exemplar_image=Image(scene.pixels))
        overlap = rle.compute_ious(rle.encode_masks(second.masks), found.rles)
        for index, thing in enumerate(second.objects):
            kept = bool((overlap[index] > MATCH_IOU).any())
            (same if thing.kind == scene.objects[boxed].kind else other).append(kept)
    return {"same kind kept": float(np.mean(same)), "other kinds kept": float(np.mean(other)), "pairs": number}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sam3", default="tiny", help="'tiny', 'facebook/sam3' or a folder")
    parser.add_argument("--number", type=int, default=100, help="pairs of scenes (default 100)")
    arguments = parser.parse_args()
    for name, value in measure_exemplars(Sam3.load(arguments.sam3), number=arguments.number).items():
        print(f"{name}: {value:.3g}")


if __name__ == "__main__":
    main()
