"""The cost of a click in processor time of one thread: `python -m bench.suites.clicks --sam3 tiny`."""

import argparse
import time
from functools import partial

import numpy as np
import torch

from bench.harness.timing import Timing, time_runs
from sam3_tool import Image, Sam3
from sam3_tool.synthetic.scenes import HELD_OUT, draw_scene

CLICK = (320.0, 240.0)


def measure_clicks(sam3: Sam3, *, runs: int = 15) -> dict[str, Timing]:
    """Time clicks on images of 640 x 480 pixels; each way has its own, so that no cache helps where it should not."""
    fresh, searched = (
        [Image(draw_scene(HELD_OUT + first + run, size=(640, 480)).pixels) for run in range(runs + 1)]
        for first in (0, 1000)
    )
    for image in searched:
        sam3.segment(image, "object")
    mask = np.zeros((480, 640), bool)
    mask[200:280, 280:360] = True
    time_calls = partial(time_runs, runs=runs, clock=time.process_time)
    return {
        "a new picture and its first click": time_calls(lambda run: sam3.refine(fresh[run], [CLICK])),
        "the first click after a phrase": time_calls(lambda run: sam3.refine(searched[run], [CLICK])),
        "a further click": time_calls(lambda run: sam3.refine(searched[0], [CLICK, (100.0, 30.0 + run)], [1, 0])),
        "a further click that mends a mask": time_calls(
            lambda run: sam3.refine(searched[0], [(300.0 + run, 240.0)], mask=mask)
        ),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sam3", default="tiny", help="'tiny', 'facebook/sam3' or a folder")
    parser.add_argument("--runs", type=int, default=15)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for name, timing in measure_clicks(Sam3.load(arguments.sam3), runs=arguments.runs).items():
        print(f"{name}: {timing}")


if __name__ == "__main__":
    main()
