"""The cost of open models in processor time of one thread: `python -m bench.suites.weights.open_models`.

Networks have their published size and random weights. The memory is the most that the process took.
"""

import argparse
import resource
import time
from collections.abc import Iterator
from functools import partial

import numpy as np
import torch

from bench.harness.open_networks import HIERA, build_open_backend, build_segmenter
from bench.harness.timing import Timing, time_runs
from sam3_tool import ConceptPrompt, Image, Sam3

HEIGHT, WIDTH = 480, 640
NO_MASKS = 1 - 1e-9
"""A threshold that no box of random weights reaches: boxes have a line of their own."""
PHRASES = ("a red cup", "the striped dog", "a bicycle", "the open window")
BOX = (100.0, 80.0, 300.0, 260.0)


def measure_open_models(*, segmenter: str, runs: int) -> Iterator[tuple[str, Timing]]:
    """Yield what each step takes, as soon as it is measured."""
    sam3 = Sam3(build_open_backend(segmenter), cache_bytes=2**32)
    images = [_draw_noise(run) for run in range(runs + 1)]
    time_calls = partial(time_runs, runs=runs, clock=time.process_time)
    yield (
        "a new image and its first phrase",
        time_calls(lambda run: sam3.segment(images[run], PHRASES[0], threshold=NO_MASKS)),
    )
    yield (
        "a further phrase",
        time_calls(lambda run: sam3.segment(images[run], PHRASES[1], threshold=NO_MASKS)),
    )
    yield (
        "four further phrases together",
        time_calls(
            lambda run: sam3.segment_batch(
                [(images[run], ConceptPrompt(phrase, threshold=NO_MASKS)) for phrase in PHRASES]
            )
        ),
    )
    yield from measure_open_clicks(sam3, images[0], runs=runs)


def measure_open_clicks(sam3: Sam3, image: Image, *, runs: int) -> Iterator[tuple[str, Timing]]:
    """Yield what SAM 2.1 takes for a box and for a click in one image, which the first call, uncounted, encodes."""
    time_calls = partial(time_runs, runs=runs, clock=time.process_time)
    yield "a mask of one box", time_calls(lambda _: sam3.refine(image, box=BOX, multimask=False))
    yield "a click", time_calls(lambda run: sam3.refine(image, [(200.0 + run, 150.0)]))


def measure_segmenters(*, runs: int) -> Iterator[tuple[str, Timing]]:
    """Yield what each size of SAM 2.1 takes to encode an image."""
    for name in HIERA:
        segmenter = build_segmenter(name)

        def encode_noise(run: int) -> None:
            with torch.inference_mode():
                segmenter.encode([_draw_noise(run)])  # noqa: B023 - it is called before the next turn

        yield f"SAM 2.1 {name}: a new image", time_runs(encode_noise, runs=runs, clock=time.process_time)


def _draw_noise(seed: int) -> Image:
    return Image(np.random.default_rng(seed).integers(0, 255, (HEIGHT, WIDTH, 3)).astype(np.uint8))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--segmenter", choices=list(HIERA), default="small", help="the size of SAM 2.1")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--sizes", action="store_true", help="measure the encoders of all sizes of SAM 2.1 instead")
    parser.add_argument("--clicks", action="store_true", help="measure boxes and clicks alone")
    options = parser.parse_args()
    torch.set_num_threads(1)
    for name, timing in _choose_steps(options):
        print(f"{name}: {timing}", flush=True)
    print(f"memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.1f} GiB")


def _choose_steps(options: argparse.Namespace) -> Iterator[tuple[str, Timing]]:
    if options.sizes:
        return measure_segmenters(runs=options.runs)
    if options.clicks:
        return measure_open_clicks(Sam3(build_open_backend(options.segmenter)), _draw_noise(0), runs=options.runs)
    return measure_open_models(segmenter=options.segmenter, runs=options.runs)


if __name__ == "__main__":
    main()
