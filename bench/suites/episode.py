"""The whole SAM side of an episode beside the published way: find masks, remove overlaps, store, draw, encode.

The network runs and cuts about ten masks for each phrase. All later steps get ten blobs per phrase instead, on both
sides, because random weights find noise.
"""

import io
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import count
from typing import Any

import numpy as np
import PIL.Image

from agent import ScriptedPlanner, Task, run
from agent.models.rendering import JPEG_QUALITY, encode_image
from agent.planners.chat.views import View, draw_overlay
from agent.tools.segment import MAX_PHRASES
from agent.tools.toolsets import Answer, Segment
from bench.harness.networks import Network
from bench.harness.tables import Cell, Table
from bench.harness.timing import Timing, time_alternatives, time_runs
from bench.harness.workload import HEIGHT, MASKS, WIDTH, Workload, find_crowded_threshold, list_phrases, make_image
from bench.suites import baselines
from bench.suites.drawing import draw_blob_scene
from sam3_tool import ConceptPrompt, Image, Instances, Sam3, remove_overlaps
from sam3_tool.backends.base import Backend
from sam3_tool.drawing.overlay import draw_marks
from sam3_tool.masks import rle

ImageAndPhrases = tuple[Image, Sequence[str]]


def measure_episode(measured: Network, workload: Workload) -> Table:
    """Time k phrases on one new image, from the image to what a language model is sent."""
    cut, sam3 = find_crowded_threshold(measured), Sam3(BlobBackend(measured.build_backend(compile=measured.compile)))
    fresh = count(1)

    def run_ours(asked: ImageAndPhrases) -> object:
        calls = [Segment(phrases=list(some), threshold=cut) for some in _split_phrases(asked[1])]
        done = run(Task(asked[0], "all of them"), ScriptedPlanner([*calls, Answer(ids=[1])]), sam3)
        assert done.outcome == "answered", done.message
        shown = done.workspace.candidates
        return encode_image(draw_overlay(asked[0], shown, [candidate.id for candidate in shown], View().image_side))

    def run_published(asked: ImageAndPhrases) -> object:
        return [_run_published_call(measured, asked[0], phrase, cut) for phrase in asked[1]]

    rows: list[Sequence[Cell]] = []
    for k in workload.phrases:
        took = time_alternatives(
            {"ours": run_ours, "published": run_published},
            lambda _, k=k: (make_image(next(fresh)), list_phrases()[:k]),  # type: ignore[misc]
            measured.device,
            rounds=workload.rounds,
        )
        mine, theirs = took["ours"], took["published"]
        rows.append((k, mine.median, theirs.median, theirs.median / mine.median, mine.span))
    columns = ("phrases", "ours, ms", "published, ms", "published / ours", "ours, from to")
    about: dict[str, Cell] = {**workload.conditions, "masks": f"{MASKS} a phrase", "picture": f"{WIDTH} x {HEIGHT}"}
    return Table("sam3-episode", "The SAM side of an episode", columns, rows, about)


def _split_phrases(phrases: Sequence[str]) -> list[Sequence[str]]:
    """As many phrases as a call takes, call by call.

    >>> [len(some) for some in _split_phrases("abcdefghijklmnop")]
    [8, 8]
    """
    return [phrases[start : start + MAX_PHRASES] for start in range(0, len(phrases), MAX_PHRASES)]


def _run_published_call(measured: Network, image: Image, phrase: str, cut: float) -> bytes:
    """One call as published: find, encode as run lengths, decode those to compare them, draw what is left."""
    baselines.segment_as_published(measured, image, [phrase], cut)
    found = _draw_blobs(phrase)
    masks = rle.decode_masks(rle.encode_masks(found.masks), image.height, image.width)
    stay = baselines.find_non_overlapping(masks, found.scores)
    return baselines.draw_masks(image, masks[stay])


def time_mask_work(rounds: int) -> dict[str, Timing]:
    """Time the steps around the network, on ten masks of 1920 x 1080 pixels, on one thread."""
    file, found = io.BytesIO(), [_copy_blobs(list_phrases()[0]) for _ in range(rounds + 1)]
    make_image(0).to_pil().save(file, "JPEG", quality=JPEG_QUALITY)
    drawings = [Image(np.asarray(draw_marks(make_image(number), found[0]))) for number in range(rounds + 1)]
    work: dict[str, Callable[[int], object]] = {
        "reading a JPEG": lambda run: Image(np.asarray(PIL.Image.open(io.BytesIO(file.getvalue())))),
        "run lengths of 10 masks": lambda run: found[run].rles,
        "overlaps among them": lambda run: remove_overlaps(found[run]),
        "drawing them": lambda run: draw_marks(drawings[run], found[run]),
        "a JPEG of the drawing": lambda run: encode_image(drawings[run]),
    }
    return {name: time_runs(call, runs=rounds, clock=time.process_time) for name, call in work.items()}


@cache
def _draw_blobs(phrase: str) -> Instances:
    found = draw_blob_scene(HEIGHT, WIDTH, MASKS, seed=list_phrases().index(phrase))[1]
    return Instances(found.masks, found.boxes, found.scores, found.presence, phrase)


def _copy_blobs(phrase: str) -> Instances:
    """The blobs of this phrase as new instances, which nobody has encoded yet."""
    blobs = _draw_blobs(phrase)
    return Instances(blobs.masks, blobs.boxes, blobs.scores, blobs.presence, blobs.phrase)


@dataclass(frozen=True)
class BlobBackend:
    """A backend that lets another one do all the work and returns blobs instead of what that has found."""

    backend: Backend

    @property
    def name(self) -> str:
        return self.backend.name

    def encode(self, images: Sequence[Image]) -> Sequence[Any]:
        return self.backend.encode(images)

    def decode(self, embeddings: Sequence[Any], prompts: Sequence[ConceptPrompt]) -> list[Instances]:
        self.backend.decode(embeddings, prompts)
        return [_copy_blobs(prompt.phrase or "") for prompt in prompts]

    def refine(self, embeddings: Sequence[Any], prompts: Sequence[Any]) -> list[Instances]:
        return self.backend.refine(embeddings, prompts)

    def vocabulary_warning(self, phrase: str) -> str:
        return self.backend.vocabulary_warning(phrase)
