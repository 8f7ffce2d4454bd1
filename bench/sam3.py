"""What SAM 3 costs on this machine: `python -m bench.sam3 --sam3 tiny`.

Medians over many runs, one thread: a new picture with its first phrase, a further phrase on the same picture, several
further phrases at once, and the process's peak memory.
"""

import argparse
import resource
import statistics
import time
from collections.abc import Callable

import torch

from sam3_tool import ConceptPrompt, Picture, Sam3
from sam3_tool.training.scenes import HELD_OUT, draw_scene
from sam3_tool.training.vocabulary import COLOURS, SHAPES

RUNS = 15


def milliseconds(call: Callable[[int], object]) -> tuple[float, float, float]:
    """Median, least and most of RUNS calls; one more comes first and does not count."""
    times = []
    for run in range(RUNS + 1):
        started = time.perf_counter()
        call(run)
        times.append(1e3 * (time.perf_counter() - started))
    return statistics.median(times[1:]), min(times[1:]), max(times[1:])


def measure(sam3: Sam3) -> dict[str, tuple[float, float, float]]:
    """Rows of median, least and most milliseconds; every phrase is asked once, so that nothing is remembered."""
    pictures = [Picture(draw_scene(HELD_OUT + k, size=(640, 480)).pixels) for k in range(RUNS + 1)]
    phrases = [f"{colour} {shape}" for colour in COLOURS for shape in SHAPES]
    one = pictures[0]
    four = [[(one, ConceptPrompt(f"small {phrase}")) for phrase in phrases[4 * k : 4 * k + 4]] for k in range(RUNS + 1)]
    return {
        "a picture and its first phrase": milliseconds(lambda run: sam3.segment(pictures[run], "shape")),
        "a further phrase": milliseconds(lambda run: sam3.segment(one, phrases[run])),
        "four further phrases together": milliseconds(lambda run: sam3.segment_all(four[run])),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sam3", default="tiny")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    rows = measure(Sam3.load(arguments.sam3))
    for name, (median, least, most) in rows.items():
        print(f"{name:<32} {median:7.1f} ms   ({least:.1f} to {most:.1f})")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # KiB on Linux
    print(f"{'peak memory of the process':<32} {peak:7.0f} MiB")


if __name__ == "__main__":
    main()
