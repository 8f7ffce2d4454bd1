"""Clips of rectangles, made by hand: where each object is on each frame is known to the pixel."""

from collections.abc import Mapping, Sequence

import numpy as np

from sam3_tool import Image, Masklet, Masklets, Sam3, ScriptedBackend, Video

HEIGHT, WIDTH = 60, 100
COUNT, RATE = 16, 8
"""Frames, and how many a second, of the clip with dogs."""
Rectangle = tuple[int, int, int, int]


def draw_rectangle(box: Rectangle | None, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """bool, (height, width): x0 y0 x1 y1 filled, x1 and y1 exclusive, cut to the frame; empty for None."""
    mask = np.zeros((height, width), dtype=bool)
    if box is not None:
        x0, y0, x1, y1 = np.clip(box, 0, [width, height, width, height])
        mask[y0:y1, x0:x1] = True
    return mask


def make_masklet(boxes: Sequence[Rectangle | None], *, score: float = 0.9) -> Masklet:
    """One object, a rectangle on each frame; None where it is not seen."""
    return Masklet.from_masks([draw_rectangle(box) for box in boxes], score=score)


def slide_rectangle(box: Rectangle, step: tuple[int, int], count: int) -> list[Rectangle]:
    """The rectangle on `count` frames, each one step farther."""
    x0, y0, x1, y1 = box
    dx, dy = step
    return [(x0 + dx * k, y0 + dy * k, x1 + dx * k, y1 + dy * k) for k in range(count)]


RUNNER = slide_rectangle((4, 40, 14, 50), (5, 0), COUNT)
DOGS: dict[str, list[Sequence[Rectangle | None]]] = {
    "dog": [
        RUNNER,  # to the right, past the post
        [(80, 5, 92, 15)] * COUNT,  # it stays
        [None] * 8 + slide_rectangle((90, 22, 100, 32), (-2, 0), 8),  # it comes in after a second, to the left
    ],
    "post": [[(48, 10, 52, 50)] * COUNT],
    "puppy": [RUNNER],
}
"""Phrase -> the objects that are found for it."""


def make_clip(objects_by_phrase: Mapping[str, Sequence[Sequence[Rectangle | None]]], count: int) -> tuple[Video, Sam3]:
    """A clip, and a SAM 3 that finds and follows these objects in it."""
    frames = [Image(np.full((HEIGHT, WIDTH, 3), 10 + frame, np.uint8)) for frame in range(count)]
    video = Video.from_images(frames, frame_rate=RATE)
    found = {}
    for phrase, objects in objects_by_phrase.items():
        masklets = tuple(map(make_masklet, objects))
        ids = tuple(range(1, len(masklets) + 1))
        found[phrase] = Masklets(masklets, ids, (HEIGHT, WIDTH), count, phrase, np.ones(count, np.float32))
    return video, Sam3(ScriptedBackend.from_video(video, found))


def make_dog_clip() -> tuple[Video, Sam3]:
    """A clip of two seconds, and a SAM 3 that finds and follows `DOGS` in it."""
    return make_clip(DOGS, COUNT)
