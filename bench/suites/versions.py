"""The embedded SAM 3 in two checkouts, in turns: `python -m bench.suites.versions OLD NEW`.

Each measures the same calls in a process of its own, with its own code and weights. It uses nothing that the first
checkout with weights did not have.
"""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

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
    """Milliseconds of processor time of each of `CALLS`: medians over scenes, without the two that warm up."""
    import torch

    from sam3_tool import Sam3
    from sam3_tool.synthetic.scenes import HELD_OUT

    torch.set_num_threads(1)
    sam3 = Sam3.load("tiny")
    rows = [_measure_scene(sam3, HELD_OUT + number) for number in range(SCENES)]
    return [statistics.median(column) for column in zip(*rows[2:], strict=True)]


def _measure_scene(sam3: "Sam3", seed: int) -> list[float]:
    import numpy as np

    from sam3_tool import ConceptPrompt, Image
    from sam3_tool.synthetic.phrases import ask_about_scene
    from sam3_tool.synthetic.scenes import draw_scene

    drawn, chance = draw_scene(seed, size=(640, 480)), np.random.default_rng(0)
    words = list(dict.fromkeys(ask_about_scene(drawn, "positive", chance).phrase for _ in range(300)))
    image, shifted_image = Image(drawn.pixels), Image(np.roll(drawn.pixels, 1, axis=0))
    four = [(image, ConceptPrompt(word)) for word in words[1:5]]
    calls: list[Callable[[], object]] = [
        lambda: sam3.segment(image, "zebra"),
        lambda: sam3.segment(shifted_image, words[5]),
        lambda: sam3.segment(image, words[0]),
        lambda: sam3.segment(image, "giraffe"),
        lambda: sam3.segment_batch(four),
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
