"""The whole SAM side of an episode, beside the published way: masks found, tidied, stored, drawn and encoded.

The network runs and cuts about ten masks for each phrase; what is done with masks afterwards is done to ten blobs per
phrase, on both sides, because what random weights find is noise.
"""

import io
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import count
from typing import Any

import numpy as np
from PIL import Image

from agent import ScriptedPlanner, Task, run
from agent.models.wire import JPEG_QUALITY, encoded
from agent.tools.segment import MOST_PHRASES
from agent.tools.workspace import Answer, Segment
from agent.views import View, overlay
from bench import rivals
from bench.draw import scene
from bench.networks import Network
from bench.setting import HEIGHT, MASKS, WIDTH, Setting, all_phrases, crowded, new_picture
from bench.tables import Cell, Table
from bench.timing import Timing, side_by_side, timed
from sam3_tool import ConceptPrompt, Instances, Picture, Sam3, remove_overlaps, rle
from sam3_tool.backends import Backend
from sam3_tool.draw import draw_marks

Asked = tuple[Picture, Sequence[str]]


def episode(measured: Network, setting: Setting) -> Table:
    """k phrases on one new picture, from the picture to what a language model is sent."""
    cut, sam3 = crowded(measured), Sam3(BlobsFor(measured.backend(compile=measured.compile)))
    fresh = count(1)

    def ours(asked: Asked) -> object:
        calls = [Segment(phrases=list(some), threshold=cut) for some in _calls(asked[1])]
        done = run(Task(asked[0], "all of them"), ScriptedPlanner([*calls, Answer(ids=[1])]), sam3)
        assert done.outcome == "answered", done.message
        shown = done.workspace.candidates
        return encoded(overlay(asked[0], shown, [one.id for one in shown], View().image_side))

    def published(asked: Asked) -> object:
        return [_published(measured, asked[0], phrase, cut) for phrase in asked[1]]

    rows: list[Sequence[Cell]] = []
    for k in setting.phrases:
        took = side_by_side(
            {"ours": ours, "published": published},
            lambda _, k=k: (new_picture(next(fresh)), all_phrases()[:k]),  # type: ignore[misc]
            measured.device,
            rounds=setting.rounds,
        )
        mine, theirs = took["ours"], took["published"]
        rows.append((k, mine.median, theirs.median, theirs.median / mine.median, mine.span))
    columns = ("phrases", "ours, ms", "published, ms", "published / ours", "ours, from to")
    about: dict[str, Cell] = {**setting.about, "masks": f"{MASKS} a phrase", "picture": f"{WIDTH} x {HEIGHT}"}
    return Table("sam3-episode", "The SAM side of an episode", columns, rows, about)


def _calls(phrases: Sequence[str]) -> list[Sequence[str]]:
    """
    >>> [len(some) for some in _calls("abcdefghijklmnop")]
    [8, 8]
    """
    return [phrases[start : start + MOST_PHRASES] for start in range(0, len(phrases), MOST_PHRASES)]


def _published(measured: Network, picture: Picture, phrase: str, cut: float) -> bytes:
    """One call: find, encode as run lengths, decode those to compare them, draw what is left."""
    rivals.published(measured, picture, [phrase], cut)
    found = _blobs(phrase)
    masks = rle.decode_all(rle.encode_all(found.masks), picture.height, picture.width)
    stay = rivals.without_overlaps(masks, found.scores)
    return rivals.drawn(picture, masks[stay])


def around(rounds: int) -> dict[str, Timing]:
    """What is done around the network, on ten masks in 1920 x 1080; one thread of the processor."""
    file, found = io.BytesIO(), [_fresh(all_phrases()[0]) for _ in range(rounds + 1)]
    new_picture(0).to_pil().save(file, "JPEG", quality=JPEG_QUALITY)
    drawings = [Picture(np.asarray(draw_marks(new_picture(number), found[0]))) for number in range(rounds + 1)]
    work: dict[str, Callable[[int], object]] = {
        "reading a JPEG": lambda run: Picture(np.asarray(Image.open(io.BytesIO(file.getvalue())))),
        "run lengths of 10 masks": lambda run: found[run].rles,
        "overlaps among them": lambda run: remove_overlaps(found[run]),
        "drawing them": lambda run: draw_marks(drawings[run], found[run]),
        "a JPEG of the drawing": lambda run: encoded(drawings[run]),
    }
    return {name: timed(one, runs=rounds, clock=time.process_time) for name, one in work.items()}


@cache
def _blobs(phrase: str) -> Instances:
    found = scene(HEIGHT, WIDTH, MASKS, seed=all_phrases().index(phrase))[1]
    return Instances(found.masks, found.boxes, found.scores, found.presence, phrase)


def _fresh(phrase: str) -> Instances:
    """The blobs of this phrase, as new ones, which nobody has encoded yet."""
    one = _blobs(phrase)
    return Instances(one.masks, one.boxes, one.scores, one.presence, one.phrase)


@dataclass(frozen=True)
class BlobsFor:
    """A backend that asks another one for everything and hands out blobs for what it has found."""

    backend: Backend

    @property
    def name(self) -> str:
        return self.backend.name

    def encode(self, pictures: Sequence[Picture]) -> Sequence[Any]:
        return self.backend.encode(pictures)

    def decode(self, embeddings: Sequence[Any], prompts: Sequence[ConceptPrompt]) -> list[Instances]:
        self.backend.decode(embeddings, prompts)
        return [_fresh(prompt.phrase or "") for prompt in prompts]

    def refine(self, embeddings: Sequence[Any], prompts: Sequence[Any]) -> list[Instances]:
        return self.backend.refine(embeddings, prompts)

    def caveat(self, phrase: str) -> str:
        return self.backend.caveat(phrase)
