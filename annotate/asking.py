"""Phrases about every image: they go to SAM 3 in batches across images, while the next images are read."""

import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib.metadata import version
from itertools import groupby
from time import perf_counter
from typing import Any, Protocol, TypeVar

import numpy as np

from annotate.shards import Row
from annotate.sources.base import Item
from sam3_tool.errors import ImageError, mask_passwords
from sam3_tool.image import Image
from sam3_tool.instances import Instances
from sam3_tool.prompts import ConceptPrompt
from sam3_tool.sam3 import MAX_BATCH, Sam3

log = logging.getLogger(__name__)

MAX_ERROR_LETTERS = 500
BATCHES_AT_A_TIME = 2
"""One is compressed while the next is with SAM 3."""
Decoded = tuple[Item, Image | Exception]
"""An item, and its image; or why it could not be read."""
Given = TypeVar("Given")
Made = TypeVar("Made")


class Asker(Protocol):
    """Answers images, in their order. Each worker makes one of its own, for networks do not travel."""

    def answer_images(self, images: Iterable[Decoded]) -> Iterator[list[Row]]:
        """Yield the rows of each image. An image that cannot be answered is one row that says why."""
        ...

    def describe_maker(self) -> dict[str, Any]:
        """Return what makes the answers, for the footers: JSON values, `weights` among them."""
        ...


def describe_sam3(sam3: Sam3) -> dict[str, Any]:
    """Return what answers depend on beside the question."""
    versions = {name: version(name) for name in ("sam3-agent", "torch", "transformers")}
    return {"sam3": sam3.name, "weights": sam3.fingerprint, "runs_on": sam3.runs_on, "versions": versions}


def build_error_row(item: Item, error: BaseException, kind: str = "") -> Row:
    """The one row of an image that could not be answered."""
    text = mask_passwords(" ".join(str(error).split()))[:MAX_ERROR_LETTERS] or type(error).__name__
    return Row(
        item.index,
        item.name,
        error_kind=kind or type(error).__name__,
        error=text.encode("utf-8", "backslashreplace").decode(),
    )


@dataclass(eq=False)
class PendingImage:
    """An image, and the rows about it that are there so far."""

    item: Item
    image: Image | None
    needed: int
    """Rows until it is complete."""
    rows: list[Row] = field(default_factory=list)

    @property
    def is_complete(self) -> bool:
        """Whether every question about it was answered."""
        return len(self.rows) >= self.needed

    def to_rows(self) -> list[Row]:
        """Return its rows; the first error takes the place of all of them."""
        return [row for row in self.rows if row.error_kind][:1] or self.rows


Question = tuple[PendingImage, Image, ConceptPrompt]
Answer = tuple[PendingImage, Row]


@dataclass(frozen=True, eq=False)
class PhraseAsker:
    """Asks SAM 3 for the same phrases in every image.

    Requests of several images share a batch, and an image with more phrases than a batch holds takes several. Whatever
    batch fails is asked again image by image, so that only the image at fault loses its answer.
    """

    sam3: Sam3
    phrases: Sequence[str]
    threshold: float = 0.5
    batch: int = MAX_BATCH
    """Requests at a time."""
    min_probability: float | None = None
    """In [0, 1]: masks that are right with a lower probability are left out; those without one stay."""

    def describe_maker(self) -> dict[str, Any]:
        """Return what makes the answers."""
        return describe_sam3(self.sam3)

    def answer_images(self, images: Iterable[Decoded]) -> Iterator[list[Row]]:
        """Yield the rows of each image, in order: one for each phrase, or one that says what is wrong."""
        waiting: deque[PendingImage] = deque()
        with ThreadPoolExecutor(BATCHES_AT_A_TIME, "batch") as pool:
            batches = self._fill_batches(images, waiting)
            for answers in map_ahead(pool, self._answer_batch, batches, BATCHES_AT_A_TIME):
                for pending, row in answers:
                    pending.rows.append(row)
                while waiting and waiting[0].is_complete:
                    yield waiting.popleft().to_rows()
        yield from (pending.to_rows() for pending in waiting)

    def _fill_batches(self, images: Iterable[Decoded], waiting: deque[PendingImage]) -> Iterator[list[Question]]:
        """Cut all questions about all images into batches; `waiting` gets every image, those without question too."""
        prompts = [ConceptPrompt(phrase, threshold=self.threshold) for phrase in self.phrases]
        batch: list[Question] = []
        for item, image in images:
            if isinstance(image, Exception):
                waiting.append(PendingImage(item, None, 1, [build_error_row(item, image)]))
                continue
            waiting.append(pending := PendingImage(item, image, len(prompts)))
            for prompt in prompts:
                batch.append((pending, image, prompt))
                if len(batch) >= self.batch:
                    yield batch
                    batch = []
        if batch:
            yield batch

    def _answer_batch(self, batch: list[Question]) -> list[Answer]:
        """Answer a batch; where it fails, image by image."""
        try:
            return self._ask_sam3(batch)
        except Exception as error:
            log.debug("a batch failed, and is asked image by image", exc_info=error)
            alone = groupby(batch, key=lambda question: question[0])
            return [answer for _, questions in alone for answer in self._ask_alone([*questions])]

    def _ask_alone(self, questions: list[Question]) -> list[Answer]:
        """Ask about one image; its error is the answer to each question."""
        try:
            return self._ask_sam3(questions)
        except Exception as error:
            log.warning("%s cannot be answered", questions[0][0].item.name, exc_info=error)
            return [(pending, build_error_row(pending.item, error)) for pending, _, _ in questions]

    def _ask_sam3(self, batch: Sequence[Question]) -> list[Answer]:
        started = perf_counter()
        found = self.sam3.run_requests([(image, prompt) for _, image, prompt in batch]).instances
        seconds = (perf_counter() - started) / len(batch)
        kept = [self._drop_doubtful(answer, prompt) for (_, _, prompt), answer in zip(batch, found, strict=True)]
        return [
            (pending, _build_phrase_row(pending.item, image, prompt.phrase or "", answer, seconds))
            for (pending, image, prompt), answer in zip(batch, kept, strict=True)
        ]

    def _drop_doubtful(self, found: Instances, prompt: ConceptPrompt) -> Instances:
        if self.min_probability is None:
            return found
        likely = self.sam3.estimate_probabilities(found, prompt)
        return found if likely is None else found[np.flatnonzero(likely >= self.min_probability)]


def _build_phrase_row(item: Item, image: Image, phrase: str, found: Instances, seconds: float) -> Row:
    return Row(
        item.index,
        item.name,
        image.key,
        image.height,
        image.width,
        phrase,
        presence=float(found.presence),
        scores=found.scores.tolist(),
        boxes=found.boxes.tolist(),
        counts=[mask.counts for mask in found.rles] if len(found) else (),
        seconds=seconds,
    )


def decode_ahead(
    items: Iterable[Item], open_image: Callable[[Item], Image], *, threads: int, ahead: int
) -> Iterator[Decoded]:
    """Read images in threads, in order, at most so many ahead of whoever takes them.

    Args:
        items: Which images.
        open_image: Reads one.
        threads: Images that are read at a time.
        ahead: Images that are in memory and wait.

    Returns:
        Each item with its image, or with the error that it raised.
    """

    def open_quietly(item: Item) -> Decoded:
        try:
            return item, open_image(item)
        except (ImageError, OSError, MemoryError) as error:
            return item, error
        except Exception as error:  # a decoder's defect: one image must not end the others
            log.warning("%s cannot be read", item.name, exc_info=error)
            return item, error

    with ThreadPoolExecutor(threads, "decoder") as pool:
        yield from map_ahead(pool, open_quietly, items, ahead)


def map_ahead(
    pool: ThreadPoolExecutor, work: Callable[[Given], Made], values: Iterable[Given], ahead: int
) -> Iterator[Made]:
    """Yield what `work` makes of each value, in order, with at most `ahead` of them begun and not yet taken.

    >>> with ThreadPoolExecutor(2) as pool:
    ...     list(map_ahead(pool, abs, [-3, 1, -2], 2))
    [3, 1, 2]
    """
    begun: deque[Future[Made]] = deque()
    try:
        for value in values:
            begun.append(pool.submit(work, value))
            if len(begun) >= ahead:
                yield begun.popleft().result()
        while begun:
            yield begun.popleft().result()
    finally:
        for future in begun:
            future.cancel()
