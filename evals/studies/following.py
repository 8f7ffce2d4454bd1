"""Measure how well an object that is given on the first frame is followed, on held-out generated clips.

Run it: `python -m evals.studies.following --sam3 tiny`.

Every object in sight on a clip's first frame is given by its exact mask, by its box or by one click at its innermost
pixel, and followed to the last frame. J&F as in SA-V; first and last frame do not count. Beside it, two ways that need
no memory: the first mask on every frame, and each frame's mask, with a click in its middle, as the prompt of the next.
A third one is told the object's exact box on every frame: what is missing there is the mask decoder's, not memory's.
"""

import argparse
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from evals.metrics import jf
from evals.reports.tables import format_columns
from sam3_tool import Image, Sam3, Video, VisualPrompt
from sam3_tool.synthetic.clips import Clip, draw_clip
from sam3_tool.synthetic.scenes import HELD_OUT
from sam3_tool.training.clicking import find_centre_click

FIRST_CLIP = 20_000
"""Number of the first held-out clip; training looks at others now and then."""
LENGTH = 24
MIN_AREA = 0.004
"""Share of the first frame that an object covers, so that a person could point at it."""

Follower = Callable[[Sam3, Clip, list[int]], np.ndarray]
"""Returns bool, (K, T, H, W), of K objects of a clip by their indices."""


def generate_clips(number: int) -> Iterator[tuple[Clip, list[int]]]:
    """Generate held-out clips and, of each, the objects to be followed; clips without any are left out."""
    for index in range(number):
        clip = draw_clip(HELD_OUT + FIRST_CLIP + index, length=LENGTH)
        masks = [clip.find_masks(number) for number in range(len(clip.objects))]
        chosen = [number for number, mask in enumerate(masks) if mask[0].mean() > MIN_AREA and mask[1:-1].any()]
        if chosen:
            yield clip, chosen


def copy_first_masks(sam3: Sam3, clip: Clip, objects: list[int]) -> np.ndarray:
    return np.stack([np.repeat(clip.find_masks(number)[:1], len(clip.frames), axis=0) for number in objects])


def refine_each_frame(sam3: Sam3, clip: Clip, objects: list[int]) -> np.ndarray:
    """Prompt each frame with the mask of the frame before and a click in its middle."""
    found = copy_first_masks(sam3, clip, objects)
    for row in range(len(objects)):
        mask = found[row, 0]
        for frame, pixels in enumerate(clip.frames[1:], start=1):
            x, y, _ = find_centre_click(mask)
            answer = sam3.refine(Image(pixels), [(x, y)], mask=mask)
            found[row, frame] = answer.masks[0] if answer.presence > 0.5 else False
            mask = found[row, frame] if found[row, frame].any() else mask
    return found


def segment_true_boxes(sam3: Sam3, clip: Clip, objects: list[int]) -> np.ndarray:
    """Prompt each frame with the exact box that the object has there; a frame without it stays empty."""
    found = np.zeros((len(objects), *clip.ids.shape), bool)
    for row, number in enumerate(objects):
        truth = clip.find_masks(number)
        for frame in np.flatnonzero(truth.any(axis=(1, 2))):
            image = Image(clip.frames[frame])
            found[row, frame] = sam3.refine(image, box=_find_box(truth[frame])).masks[0]
    return found


def follow_masks(sam3: Sam3, clip: Clip, objects: list[int]) -> np.ndarray:
    return _follow(sam3, clip, [VisualPrompt((), (), None, clip.find_masks(number)[0]) for number in objects])


def follow_boxes(sam3: Sam3, clip: Clip, objects: list[int]) -> np.ndarray:
    return _follow(sam3, clip, [VisualPrompt((), (), _find_box(clip.find_masks(number)[0])) for number in objects])


def follow_clicks(sam3: Sam3, clip: Clip, objects: list[int]) -> np.ndarray:
    clicks = [find_centre_click(clip.find_masks(number)[0]) for number in objects]
    return _follow(sam3, clip, [VisualPrompt(((float(x), float(y)),), (1,)) for x, y, _ in clicks])


def _find_box(mask: np.ndarray) -> tuple[float, float, float, float]:
    rows, columns = np.nonzero(mask)
    return float(columns.min()), float(rows.min()), float(columns.max() + 1), float(rows.max() + 1)


def _follow(sam3: Sam3, clip: Clip, prompts: list[VisualPrompt]) -> np.ndarray:
    """Follow the objects of prompts on the first frame with one tracking session."""
    found = np.zeros((len(prompts), *clip.ids.shape), bool)
    session = sam3.open_tracking(Video.from_images([Image(pixels) for pixels in clip.frames]))
    rows = {session.add_prompt(0, prompt)[0]: row for row, prompt in enumerate(prompts)}
    for tracked in session.propagate(0):
        for instances, ids in zip(tracked.instances, tracked.ids, strict=True):
            for mask, object_id in zip(instances.masks, ids, strict=True):
                found[rows[object_id], tracked.frame] = mask
    return found


FOLLOWERS: dict[str, Follower] = {
    "copy of the first mask": copy_first_masks,
    "last mask as prompt": refine_each_frame,
    "exact box on every frame": segment_true_boxes,
    "mask": follow_masks,
    "box": follow_boxes,
    "click": follow_clicks,
}
"""What is given on the first frame, or what is done instead -> how."""


def measure_following(sam3: Sam3, *, number: int = 100, ways: list[str] | None = None) -> dict[str, dict[str, float]]:
    """J&F, J and F in percent, of each way, and how many objects they are means of."""
    tracks: dict[str, list[jf.Video]] = {way: [] for way in ways or FOLLOWERS}
    for clip_number, (clip, objects) in enumerate(generate_clips(number)):
        for way, rows in tracks.items():
            found = FOLLOWERS[way](sam3, clip, objects)
            rows += [
                (f"{clip_number}/{index}", mask, clip.find_masks(index))
                for index, mask in zip(objects, found, strict=True)
            ]
    scores = {way: jf.score(rows) for way, rows in tracks.items()}
    return {way: {name: score[name] for name in ("jf", "j", "f", "objects")} for way, score in scores.items()}


def format_following_table(numbers: dict[str, dict[str, float]]) -> str:
    head = ("given on the first frame", "J&F", "J", "F")
    rows = [(way, *(f"{scores[name]:.1f}" for name in ("jf", "j", "f"))) for way, scores in numbers.items()]
    objects = next(iter(numbers.values()))["objects"]
    return f"means of {objects:.0f} objects\n{format_columns([head, *rows])}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sam3", default="tiny", help="'tiny', 'facebook/sam3' or a folder")
    parser.add_argument("--number", type=int, default=100, help="clips (default 100)")
    parser.add_argument("--ways", nargs="+", choices=FOLLOWERS, help="only these rows")
    parser.add_argument("--out", type=Path, help="write the numbers here as JSON, too")
    arguments = parser.parse_args()
    numbers = measure_following(Sam3.load(arguments.sam3), number=arguments.number, ways=arguments.ways)
    print(format_following_table(numbers))
    if arguments.out:
        rounded = {way: {name: round(value, 2) for name, value in row.items()} for way, row in numbers.items()}
        arguments.out.write_text(json.dumps(rounded, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
