"""The embedded SAM 3 in two checkouts, in turns: `python -m bench.suites.versions OLD NEW`.

Each measures the same calls in a process of its own, with its own code and weights. This file runs with the code of
either, so it uses nothing that the first checkout with weights did not have, and looks names up that have changed.
"""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sam3_tool import Sam3

CALLS = (
    "a new picture, asked for what is absent",
    "a new picture and its first phrase",
    "a further phrase",
    "a further phrase that is absent",
    "four further phrases together",
)
SCENES, ROUNDS, HERE = 13, 3, "--here"


def measure_here() -> list[float]:
    """Return the milliseconds of processor time of each of `CALLS`: medians over scenes, without the first two.

    This runs with the code of either checkout.
    """
    import torch

    from sam3_tool import Sam3

    torch.set_num_threads(1)
    sam3, world = Sam3.load("tiny"), _find_world()
    rows = [_measure_scene(sam3, world, world.first_seed + number) for number in range(SCENES)]
    return [statistics.median(column) for column in zip(*rows[2:], strict=True)]


@dataclass(frozen=True)
class World:
    """The generated world of a checkout, whatever it calls its parts."""

    first_seed: int
    """Of the scenes that training never sees."""
    draw_scene: Callable[..., Any]
    ask_about_scene: Callable[..., Any]
    make_image: Callable[[Any], Any]


def _find_world() -> World:
    """The parts under the names of this checkout, which were others up to the first release."""
    scenes = _import_first("sam3_tool.synthetic.scenes", "sam3_tool.training.scenes")
    phrases = _import_first("sam3_tool.synthetic.phrases", "sam3_tool.training.prompts")
    return World(
        scenes.HELD_OUT,
        scenes.draw_scene,
        _get_first(phrases, "ask_about_scene", "ask"),
        _get_first(import_module("sam3_tool"), "Image", "Picture"),
    )


def _import_first(*names: str) -> ModuleType:
    """The first of these modules that this checkout has."""
    for name in names:
        with suppress(ModuleNotFoundError):
            return import_module(name)
    raise ModuleNotFoundError(f"this checkout has none of {', '.join(names)}")


def _get_first(owner: object, *names: str) -> Any:
    """The first of these attributes that there is."""
    for name in names:
        with suppress(AttributeError):
            return getattr(owner, name)
    raise AttributeError(f"{owner!r} has none of {', '.join(names)}")


def _measure_scene(sam3: "Sam3", world: World, seed: int) -> list[float]:
    import numpy as np

    from sam3_tool import ConceptPrompt

    scene, rng = world.draw_scene(seed, size=(640, 480)), np.random.default_rng(0)
    phrases = list(dict.fromkeys(world.ask_about_scene(scene, "positive", rng).phrase for _ in range(300)))
    image, shifted_image = world.make_image(scene.pixels), world.make_image(np.roll(scene.pixels, 1, axis=0))
    segment_batch = _get_first(sam3, "segment_batch", "segment_all")
    four = [(image, ConceptPrompt(phrase)) for phrase in phrases[1:5]]
    calls: list[Callable[[], object]] = [
        lambda: sam3.segment(image, "zebra"),
        lambda: sam3.segment(shifted_image, phrases[5]),
        lambda: sam3.segment(image, phrases[0]),
        lambda: sam3.segment(image, "giraffe"),
        lambda: segment_batch(four),
    ]
    return [_time_call(call) for call in calls]


def _time_call(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return 1000 * (time.process_time() - began)


def _measure_checkout(folder: Path) -> list[float]:
    environment = {**os.environ, "PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1"}
    program = [sys.executable, "-P", __file__, HERE]
    done = subprocess.run(program, env=environment, cwd=folder, stdout=subprocess.PIPE, text=True, check=True)
    return [float(duration) for duration in json.loads(done.stdout)]


def main() -> None:
    folders = [Path(word).resolve() for word in sys.argv[1:]]
    if len(folders) != 2 or not all((folder / "sam3_tool" / "tiny").is_dir() for folder in folders):
        sys.exit("error: expected two checkouts of this repository: python -m bench.suites.versions OLD NEW")
    rounds = [[_measure_checkout(folder) for folder in folders] for _ in range(ROUNDS)]
    old, new = ([statistics.median(call) for call in zip(*runs, strict=True)] for runs in zip(*rounds, strict=True))
    print(f"one thread, 640 x 480, processor time, medians of {ROUNDS} processes each, in turns")
    for call, before, after in zip(CALLS, old, new, strict=True):
        print(f"{call}: {before:.1f} -> {after:.1f} ms, {before / after:.2f} times as fast")


if __name__ == "__main__":
    print(json.dumps(measure_here())) if sys.argv[1:] == [HERE] else main()
