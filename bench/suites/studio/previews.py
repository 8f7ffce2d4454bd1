"""The mask under the pointer, on the server alone: the decoder call, and all that an answer to the page takes.

`python -m bench.suites.studio.previews`. Two times of each: by the clock, which other programs lengthen, and of this
process's processor. The image is encoded before.
"""

import time
from collections.abc import Callable
from functools import partial

import numpy as np
import torch

from demo.studio.preview import PREVIEW_SIDE, preview_mask
from sam3_tool import Image, Sam3
from sam3_tool.synthetic.scenes import HELD_OUT, draw_scene

SIZES = ((640, 480), (4000, 3000), (8660, 5774))
"""Width and height; the last is 50 megapixels."""
CALLS = 200


def main() -> None:
    torch.set_num_threads(1)
    sam3 = Sam3.load("tiny")
    for size in SIZES:
        print("\n".join(measure_previews(sam3, size)), flush=True)


def measure_previews(sam3: Sam3, size: tuple[int, int], *, calls: int = CALLS) -> list[str]:
    """Measure previews at places all over an image.

    Args:
        sam3: Is asked for the masks.
        size: Width and height of the image, in pixels.
        calls: How many places.

    Returns:
        A sentence for the decoder call, and one for the whole answer.
    """
    scene = Image(draw_scene(HELD_OUT, size=(640, 480)).pixels)
    image = _enlarge_image(scene, size)
    sam3.refine(image, [(1.0, 1.0)])
    shares = (np.arange(calls) + 0.5) / calls
    places = [(float(x), float(y)) for x, y in zip(shares * 7 % 1 * size[0], shares * size[1], strict=True)]
    ways: dict[str, Callable[[float, float], object]] = {
        "the decoder call": lambda x, y: sam3.refine(image, [(x, y)], mask_side=PREVIEW_SIDE),
        "the whole answer": partial(preview_mask, sam3, image),
    }
    return [f"{size[0]} x {size[1]}, {name}: {_time_calls(way, places)}" for name, way in ways.items()]


def _time_calls(work: Callable[[float, float], object], places: list[tuple[float, float]]) -> str:
    took = []
    for place in places:
        started = time.perf_counter(), time.process_time()
        work(*place)
        took.append((time.perf_counter() - started[0], time.process_time() - started[1]))
    clock, processor = (np.percentile(np.array(column) * 1000, (50, 99, 100)) for column in zip(*took, strict=True))
    return "; ".join(
        f"{name} median {median:.0f} ms, p99 {high:.0f}, longest {longest:.0f}"
        for name, (median, high, longest) in (("processor time", processor), ("by the clock", clock))
    )


def _enlarge_image(image: Image, size: tuple[int, int]) -> Image:
    """Repeat pixels until the image has this width and height."""
    rows = np.arange(size[1]) * image.height // size[1]
    columns = np.arange(size[0]) * image.width // size[0]
    return Image(image.pixels[rows[:, None], columns])


if __name__ == "__main__":
    main()
