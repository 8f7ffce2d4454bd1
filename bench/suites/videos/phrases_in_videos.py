"""Phrases through a video, in processor time of one thread: `python -m bench.suites.videos.phrases_in_videos`.

Beside them the published way: a session holds one phrase, so that each phrase encodes every frame again.
"""

import argparse
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from sam3_tool import Image, Masklet, Masklets, Sam3, ScriptedBackend, TrackedFrame, Video
from sam3_tool.backends.loading import load_backend
from sam3_tool.synthetic.scenes import HELD_OUT, draw_scene

PHRASES = ("object", "red object", "blue object", "green object", "yellow object", "circle", "star", "square")


class CountingBackend:
    """Another backend, how many images it encoded, and how long it encoded and searched them."""

    def __init__(self, backend: Any) -> None:
        self._backend = backend
        self.encoded = 0
        self.encode_seconds = self.detect_seconds = 0.0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)

    def encode(self, images: Sequence[Image]) -> Any:
        self.encoded += len(images)
        start = time.process_time()
        embeddings = self._backend.encode(images)
        self.encode_seconds += time.process_time() - start
        return embeddings

    def detect(self, embeddings: Sequence[Any], prompts: Sequence[Any]) -> Any:
        start = time.process_time()
        found = self._backend.detect(embeddings, prompts)
        self.detect_seconds += time.process_time() - start
        return found


def draw_pan(length: int, *, size: tuple[int, int] = (240, 320)) -> Video:
    """Draw a large scene, and move over it: every frame differs, and its objects stay the same."""
    height, width = size
    pixels = draw_scene(HELD_OUT, size=(width + 2 * length, height)).pixels
    return Video.from_images([Image(pixels[:, 2 * step : 2 * step + width].copy()) for step in range(length)])


def script_objects(video: Video, number: int) -> dict[str, Masklets]:
    """Script objects that stand still, for what the rules themselves cost."""
    masks = np.zeros((number, video.height, video.width), bool)
    for index, mask in enumerate(masks):
        x, y = 20 * (index % 16), 20 * (index // 16)
        mask[y : y + 15, x : x + 15] = True
    masklets = tuple(Masklet.from_masks([mask] * len(video), score=0.9) for mask in masks)
    ids, presence = tuple(range(1, number + 1)), np.ones(len(video), np.float32)
    return {"object": Masklets(masklets, ids, (video.height, video.width), len(video), "object", presence)}


def measure_seconds(call: Callable[[], object]) -> float:
    start = time.process_time()
    call()
    return time.process_time() - start


def measure_phrases(backend: Any, video: Video, phrases: Sequence[str]) -> str:
    """Track phrases together, and each in a session of its own; every `Sam3` has a new cache."""
    list(Sam3(backend).track(video, phrases, stop=1))  # makes what is made once
    together, apart = CountingBackend(backend), CountingBackend(backend)
    frames: list[TrackedFrame] = []
    seconds = measure_seconds(lambda: frames.extend(Sam3(together).track(video, phrases)))
    objects = max(sum(map(len, tracked.ids)) for tracked in frames)
    sessions = measure_seconds(lambda: [list(Sam3(apart).track(video, phrase)) for phrase in phrases])
    return (
        f"{len(phrases)} phrases, at most {objects} objects: {_describe_cost(together, seconds, len(video))};"
        f" a session each {_describe_cost(apart, sessions, len(video))}: {sessions / seconds:.2f} times as long"
    )


def _describe_cost(backend: CountingBackend, seconds: float, frames: int) -> str:
    whole, encode, detect = (
        f"{1000 * part / frames:.0f} ms" for part in (seconds, backend.encode_seconds, backend.detect_seconds)
    )
    return f"{whole} a frame with {backend.encoded / frames:g} encodes ({encode}) and searches ({detect})"


def measure_rules(video: Video, number: int) -> float:
    """Return milliseconds a frame of everything but the network, for this many objects."""
    sam3 = Sam3(ScriptedBackend.from_video(video, script_objects(video, number)))
    return 1000 * measure_seconds(lambda: list(sam3.track(video, "object"))) / len(video)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sam3", default="tiny", help="'tiny', 'facebook/sam3' or a folder")
    parser.add_argument("--frames", type=int, default=24)
    parser.add_argument("--phrases", default="1,4,8", help="numbers of phrases, at most 8")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    video = draw_pan(arguments.frames)
    backend = load_backend(arguments.sam3, device="auto", dtype="auto", compile=None)
    for count in map(int, arguments.phrases.split(",")):
        print(measure_phrases(backend, video, PHRASES[:count]))
    for number in (1, 16, 64):
        print(f"the rules alone, {number} objects: {measure_rules(video, number):.2f} ms a frame")


if __name__ == "__main__":
    main()
