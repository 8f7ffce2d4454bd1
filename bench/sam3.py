"""What SAM 3 costs on this machine: `python -m bench.sam3 --sam3 tiny`.

Medians over many runs, one thread: a new picture with its first phrase, a further phrase on the same picture, several
further phrases at once, and the process's peak memory.
"""

import argparse
import resource

import numpy as np
import torch

from bench.timing import Timing, timed
from sam3_tool import ConceptPrompt, Picture, Sam3
from sam3_tool.training.prompts import ask
from sam3_tool.training.scenes import HELD_OUT, Scene, draw_scene
from sam3_tool.training.vocabulary import STRANGERS

RUNS = 15


def measure(sam3: Sam3) -> dict[str, Timing]:
    """Every phrase is asked once, so that nothing is remembered; all but the absent ones have masks to draw."""
    scenes = [draw_scene(HELD_OUT + k, size=(640, 480)) for k in range(RUNS + 1)]
    pictures = [Picture(scene.pixels) for scene in scenes]
    one = pictures[3]
    present = present_phrases(scenes[3], 5 * (RUNS + 1))
    four = [[(one, ConceptPrompt(phrase)) for phrase in present[k :: RUNS + 1][1:]] for k in range(RUNS + 1)]
    return {
        "a picture and its first phrase": timed(lambda run: sam3.segment(pictures[run], "object"), runs=RUNS),
        "a further phrase": timed(lambda run: sam3.segment(one, present[run]), runs=RUNS),
        "a further phrase that is absent": timed(lambda run: sam3.segment(one, STRANGERS[run]), runs=RUNS),
        "four further phrases together": timed(lambda run: sam3.segment_all(four[run]), runs=RUNS),
    }


def present_phrases(scene: Scene, number: int) -> list[str]:
    """Different phrases that each describe something in the scene."""
    rng = np.random.default_rng(0)
    phrases = dict.fromkeys(ask(scene, "positive", rng).phrase for _ in range(40 * number))
    return list(phrases)[:number]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sam3", default="tiny")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    rows = measure(Sam3.load(arguments.sam3))
    for name, timing in rows.items():
        print(f"{name}: {timing}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # KiB on Linux
    print(f"peak memory of the process: {peak:.0f} MiB")


if __name__ == "__main__":
    main()
