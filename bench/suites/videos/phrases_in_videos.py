"""Phrases through a video, in processor time of one thread: `python -m bench.suites.videos.phrases_in_videos`.

Beside one pass for all phrases: a session for each phrase, and the same two ways with transformers' own class, which
encodes each frame anew in each session. Masks are not refined, for that class has nothing like it. On a GPU it is the
clock's time.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
import torch

from bench.harness.tables import Cell, Table
from bench.harness.timing import measure_seconds, read_clock
from bench.suites.videos.agreement import ShownFrame, compare_objects, stack_objects
from bench.suites.videos.transformers_session import TransformersSessions, link_plain_checkpoint
from sam3_tool import Image, Masklet, Masklets, Sam3, ScriptedBackend, TrackedFrame, Video
from sam3_tool.backends.loading import load_backend
from sam3_tool.backends.transformers.hardware.devices import resolve_device
from sam3_tool.errors import UserError
from sam3_tool.synthetic.scenes import HELD_OUT, draw_scene

CPU = torch.device("cpu")
PHRASES = ("object", "red object", "blue object", "green object", "yellow object", "circle", "star", "square")

COLUMNS = (
    *("way", "phrases", "ms a frame", "encodes a frame", "of it encoding", "searching", "times as long"),
    *("objects", "the same", "mean IoU"),
)


class CountingBackend:
    """Another backend, how many images it encoded, and how long it encoded and searched them."""

    def __init__(self, backend: Any, device: torch.device = CPU) -> None:
        self._backend, self._device = backend, device
        self.encoded = 0
        self.encode_seconds = self.detect_seconds = 0.0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)

    def encode(self, images: Sequence[Image]) -> Any:
        self.encoded += len(images)
        start = read_clock(self._device)
        embeddings = self._backend.encode(images)
        self.encode_seconds += read_clock(self._device) - start
        return embeddings

    def detect(self, embeddings: Sequence[Any], prompts: Sequence[Any]) -> Any:
        start = read_clock(self._device)
        found = self._backend.detect(embeddings, prompts)
        self.detect_seconds += read_clock(self._device) - start
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


class Way(NamedTuple):
    """One way to follow phrases: what it cost, and what it found."""

    name: str
    seconds: float
    encoded: int
    """Frames that were encoded, in all sessions together."""
    encode_seconds: float
    search_seconds: float
    found: list[np.ndarray]
    """For each phrase the objects, bool (N, frames, height, width)."""


def measure_sessions(
    backend: Any, video: Video, sessions: Sequence[Sequence[str]], name: str, *, device: torch.device = CPU
) -> Way:
    """Track phrases with `Sam3.track`. Every session is a `Sam3` with a new cache."""
    counting = CountingBackend(backend, device)
    shown: list[list[TrackedFrame]] = []
    seconds = measure_seconds(
        lambda: shown.extend(list(Sam3(counting).track(video, session)) for session in sessions), device
    )
    frames = [
        [ShownFrame(each.frame, each.ids, [found.masks for found in each.instances]) for each in session]
        for session in shown
    ]
    found = _stack_sessions(frames, sessions, video)
    return Way(name, seconds, counting.encoded, counting.encode_seconds, counting.detect_seconds, found)


def measure_transformers(
    model: TransformersSessions, video: Video, sessions: Sequence[Sequence[str]], name: str
) -> Way:
    """Track phrases with transformers' own class."""
    model.reset_clocks()
    shown: list[list[ShownFrame]] = []
    seconds = measure_seconds(
        lambda: shown.extend(list(model.follow_phrases(video, session)) for session in sessions), model.device
    )
    found = _stack_sessions(shown, sessions, video)
    return Way(name, seconds, model.encoding.passes, model.encoding.seconds, model.searching.seconds, found)


def _stack_sessions(
    shown: Sequence[Sequence[ShownFrame]], sessions: Sequence[Sequence[str]], video: Video
) -> list[np.ndarray]:
    size = (len(video), video.height, video.width)
    return [
        stack_objects(frames, row, size)
        for frames, session in zip(shown, sessions, strict=True)
        for row in range(len(session))
    ]


def measure_phrases(
    backend: Any,
    video: Video,
    phrases: Sequence[str],
    *,
    model: TransformersSessions | None = None,
    device: torch.device = CPU,
) -> list[Way]:
    """Track phrases in all ways: in one pass of ours first, and where a model is given, with transformers' class."""
    together, apart = [tuple(phrases)], [(phrase,) for phrase in phrases]
    ways = [
        measure_sessions(backend, video, sessions, name, device=device)
        for sessions, name in ((together, "one pass"), (apart, "a session each"))
    ]
    if model is not None:
        ways.append(measure_transformers(model, video, apart, "transformers, a session each"))
        ways.append(measure_transformers(model, video, together, "transformers, one session"))
    return ways


def list_rows(ways: Sequence[Way], frames: int) -> list[tuple[Cell, ...]]:
    """Compare ways with the first of them, in the order of `COLUMNS`."""
    return [_describe_way(way, ways[0], frames) for way in ways]


def _describe_way(way: Way, first: Way, frames: int) -> tuple[Cell, ...]:
    agreement = compare_objects(first.found, way.found)
    whole, encode, search = (1000 * part / frames for part in (way.seconds, way.encode_seconds, way.search_seconds))
    times = round(way.seconds / first.seconds, 2)
    iou = round(agreement.mean_iou, 3) if agreement.same else None
    costs = (whole, way.encoded / frames, encode, search, times)
    return (way.name, len(way.found), *costs, agreement.theirs, agreement.same, iou)


def measure_rules(video: Video, number: int) -> float:
    """Return milliseconds a frame of everything but the network, for this many objects."""
    sam3 = Sam3(ScriptedBackend.from_video(video, script_objects(video, number)))
    return 1000 * measure_seconds(lambda: list(sam3.track(video, "object")), CPU) / len(video)


def build_table(arguments: argparse.Namespace) -> Table:
    """Measure every number of phrases.

    Raises:
        UserError: The checkpoint or the device is not there, or transformers' class cannot read the checkpoint.
    """
    device = resolve_device(arguments.device)
    with TemporaryDirectory() as links:
        name, dtype = str(link_plain_checkpoint(arguments.sam3, Path(links))), arguments.dtype
        model = (
            TransformersSessions.load(name, device=device, dtype=getattr(torch, dtype))
            if arguments.transformers
            else None
        )
        backend = load_backend(name, device=arguments.device, dtype=dtype, compile=None)
        list(Sam3(backend).track(draw_pan(1), PHRASES[0]))  # reads the memory's weights
    torch.set_num_threads(1)
    video, rows = draw_pan(arguments.frames), list[tuple[Cell, ...]]()
    measure_phrases(backend, draw_pan(3), PHRASES[:1], model=model, device=device)  # makes what is made once
    for count in arguments.phrases:
        rows += list_rows(measure_phrases(backend, video, PHRASES[:count], model=model, device=device), len(video))
    about = {"SAM 3": arguments.sam3, "device": device.type, "dtype": dtype, "frames": len(video)}
    return Table("phrases-in-videos", "phrases through a video", COLUMNS, rows, about)


def parse_counts(text: str) -> list[int]:
    """Read numbers of phrases.

    Raises:
        argparse.ArgumentTypeError: One of them is no number from 1 to the number of `PHRASES`.

    >>> parse_counts("1,4")
    [1, 4]
    """
    counts = text.split(",")
    if wrong := [count for count in counts if not count.isdecimal() or not 1 <= int(count) <= len(PHRASES)]:
        raise argparse.ArgumentTypeError(
            f"{wrong[0]!r} is no number of phrases; write 1 to {len(PHRASES)}, as in 1,4,8"
        )
    return [int(count) for count in counts]


def parse_frames(text: str) -> int:
    """Read the length of the video; raises `argparse.ArgumentTypeError` below 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no length of a video; write a number from 1 on")
    return int(text)


def main(given: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sam3", default="tiny", help="'tiny', 'facebook/sam3' or a folder")
    parser.add_argument("--frames", type=parse_frames, default=24)
    parser.add_argument("--phrases", type=parse_counts, default="1,4,8", help="numbers of phrases, at most 8")
    parser.add_argument("--device", default="auto", help="'cpu', 'cuda', or what is there")
    parser.add_argument("--dtype", choices=("float32", "bfloat16", "float16"), default="float32")
    parser.add_argument(
        "--transformers", action=argparse.BooleanOptionalAction, default=True, help="measure transformers' class, too"
    )
    arguments = parser.parse_args(given)
    try:
        print(build_table(arguments).to_text())
    except UserError as error:
        parser.error(str(error))
    video = draw_pan(arguments.frames)
    for number in (1, 16, 64):
        print(f"the rules alone, {number} objects: {measure_rules(video, number):.2f} ms a frame")


if __name__ == "__main__":
    main()
