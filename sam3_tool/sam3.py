"""`Sam3`: the segmenter an agent holds."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np

from sam3_tool.backends.base import Backend, CrossImageEmbedding, Embedding
from sam3_tool.backends.recording.replay import CachingBackend, RecordingBackend, ReplayingBackend
from sam3_tool.backends.transformers.embeddings import build_embedding_cache
from sam3_tool.batching import Batcher
from sam3_tool.image import Image
from sam3_tool.instances import Instances
from sam3_tool.prompts import Box, ConceptPrompt, Point, Prompt, VisualPrompt

Request = tuple[Image, Prompt]
PrefetchRequest = tuple[Image, None]
"""At a picture about which nothing is asked yet."""

MAX_BATCH = 8
CACHE_BYTES = 512 * 2**20
"""Room for 8 pictures of facebook/sam3 in bf16, or for 180 of the embedded checkpoint."""
GPU_BYTES = HOST_BYTES = 8 * CACHE_BYTES
"""With a GPU: room for 64 pictures of facebook/sam3 there and for 64 more in the host's memory, which even a laptop has
(pinned memory may be taken in powers of 2: up to twice as much). One that comes back is a copy of 63 MiB, a few
milliseconds of a bus; to encode it again would be 5.6 TFLOP."""


@dataclass(frozen=True, eq=False)
class SegmentationReport:
    """What a call found, and what it cost."""

    instances: list[Instances]
    """One per request, in order."""
    encodes: int
    """Pictures that this call sent through the vision encoder; the others were remembered, or another call's."""
    decodes: int
    """Prompts that went through the detector, or through the tracker."""


class Sam3:
    """Finds every instance of a concept, in any number of pictures at once, and one object by clicks.

    A picture is encoded on its first request and its embedding is kept, under its content, while there is room for
    it in `cache_bytes` (least recently used out first): asking again, by phrase or by click, costs only the decoder.
    On a GPU these are its memory; what they have no room for waits in `host_bytes` of the host's, and is copied back.
    Safe to share between threads: concurrent calls are served together, at most `max_batch` requests at a time.

        sam3 = Sam3.load("facebook/sam3")
        cups = sam3.segment(Picture.open("table.jpg"), "red cup")
        cups.masks.shape  # (n, height, width)
        handle = sam3.refine(Picture.open("table.jpg"), [(212, 340)])[[0]]  # the best of three candidates
    """

    def __init__(
        self,
        backend: Backend,
        *,
        max_batch: int = MAX_BATCH,
        cache_bytes: int = CACHE_BYTES,
        host_bytes: int = 0,
        runs_on: str = "",
    ) -> None:
        self._backend = backend
        self.runs_on = runs_on
        """Device and number format, e.g. 'cpu float32'; empty where there is no network."""
        self._batcher = Batcher(_Server(backend, cache_bytes, host_bytes).serve, max_size=max_batch)

    @classmethod
    def load(
        cls,
        name_or_path: str | Path,
        *,
        device: str = "auto",
        dtype: str = "auto",
        record: str | Path | None = None,
        cache: str | Path | None = None,
        max_batch: int = MAX_BATCH,
        compile: str | None = None,
    ) -> "Sam3":
        """SAM 3 from "facebook/sam3", from "tiny" (the embedded checkpoint), or from a folder in transformers' format.

        `device`: "cpu", "cuda", "cuda:1" …; "auto" takes CUDA where there is one. `dtype`: "float32", "bfloat16",
        "float16"; "auto" is bfloat16 on CUDA and, for large networks, on CPUs with units for it; else float32.
        `record`: a folder that gets every call, for `Sam3.replay`. `cache`: a folder that remembers every answer, for
        whoever asks the same of the same weights. `max_batch`: 1 makes answers independent, to the last bit, of what
        else is asked at the same time. `compile`: "default", "reduce-overhead" (CUDA graphs) or "max-autotune" have
        PyTorch compile the network with a C++ compiler, which takes minutes of the first answers; on a CPU it gains 7 %
        of an encode.
        Raises `CheckpointError` when the checkpoint is not there, may not be read, or is not a SAM 3, and
        `DeviceError` when the device, or the compiler, is not there.
        """
        from sam3_tool.backends.transformers.checkpoint import hash_checkpoint, locate_checkpoint

        folder = locate_checkpoint(name_or_path)  # before the next import, which takes seconds
        from sam3_tool.backends.transformers.backend import TransformersBackend

        network = TransformersBackend.load(folder, name=str(name_or_path), device=device, dtype=dtype, compile=compile)
        room, spare = (GPU_BYTES, HOST_BYTES) if network.is_on_gpu else (CACHE_BYTES, 0)
        backend: Backend = network
        if cache is not None:
            made_with = {"weights": hash_checkpoint(folder), "runs on": network.runs_on, **_collect_versions()}
            backend = CachingBackend(backend, cache, made_with=made_with, cache_bytes=room, host_bytes=spare)
            room, spare = CACHE_BYTES, 0  # for pictures, which have not been encoded
        if record is not None:
            backend = RecordingBackend(backend, record)
        return cls(backend, max_batch=max_batch, cache_bytes=room, host_bytes=spare, runs_on=network.runs_on)

    @classmethod
    def replay(cls, folder: str | Path) -> "Sam3":
        """What was recorded in `folder`: no checkpoint and no GPU is needed. Raises `CheckpointError` if nothing was,
        and later for what SAM 3 was not asked there."""
        return cls(ReplayingBackend(folder))

    @property
    def name(self) -> str:
        """Which weights, for headers and reports: 'tiny', 'facebook/sam3', 'scripted'."""
        return self._backend.name

    def segment(
        self,
        image: Image,
        phrase: str | None = None,
        *,
        boxes: Sequence[Box] = (),
        box_labels: Sequence[int] = (),
        threshold: float = 0.5,
        exemplar_image: Image | None = None,
    ) -> Instances:
        """All instances of a noun phrase, of what the boxes show, or of both, best score first.

        `boxes`: exemplars, x0 y0 x1 y1 in pixels; `box_labels`: 1 = of the concept, 0 = not, all 1 when left out.
        `exemplar_image`: the picture that the boxes lie in, if it is another one. What is in the boxes there is described by that
        picture's features and looked for in this one; both are encoded once. Measured on generated scenes with the
        embedded checkpoint (`evals.studies.cross_image_exemplars`); SAM 3 was published for exemplars in the same picture, so look at what
        `facebook/sam3` makes of it before you rely on it.
        `threshold`: in [0, 1); instances with a score strictly above it are returned.
        """
        exemplars = tuple((float(x0), float(y0), float(x1), float(y1)) for x0, y0, x1, y1 in boxes)
        labels = tuple(int(label) for label in box_labels)
        return self.segment_batch([(image, ConceptPrompt(phrase, exemplars, labels, threshold, exemplar_image))])[0]

    def refine(
        self,
        image: Image,
        points: Sequence[Point] = (),
        labels: Sequence[int] = (),
        *,
        box: Box | None = None,
        mask: np.ndarray | None = None,
    ) -> Instances:
        """Three candidates for the one object that clicks, a box or an earlier mask show, best predicted quality first.

        `points`: x, y in pixels; `labels`: 1 = on the object, 0 = on what does not belong to it, all 1 when left out.
        `box`: x0 y0 x1 y1 in pixels, around the object. `mask`: bool (height, width), an answer to be mended, such as
        the best candidate so far; give all clicks again with it. `scores` are the predicted IoU, `boxes` the extents of
        the masks, `presence` says whether there is an object at all. After `segment`, the picture is not encoded again.
        Raises ValueError for a point outside the picture or a mask of another size, and `CheckpointError` if the
        checkpoint has no tracker.
        """
        clicks = tuple((float(x), float(y)) for x, y in points)
        object_box = None if box is None else (float(box[0]), float(box[1]), float(box[2]), float(box[3]))
        return self.segment_batch([(image, VisualPrompt(clicks, tuple(map(int, labels)), object_box, mask))])[0]

    def segment_batch(self, requests: Sequence[Request]) -> list[Instances]:
        """One result per request, in order; every picture is encoded once, its prompts are decoded together."""
        return self.run_requests(requests).instances

    def run_requests(self, requests: Sequence[Request]) -> SegmentationReport:
        """`segment_batch`, with what it cost."""
        for image, prompt in requests:
            if isinstance(prompt, VisualPrompt):
                prompt.check_fits(image.height, image.width)
        order = _group_by_image(requests)
        served = self._batcher([requests[index] for index in order])
        found = {index: result for index, result in zip(order, served, strict=True) if result is not None}
        return SegmentationReport(
            instances=[found[index].instances for index in range(len(requests))],
            encodes=sum(result.encoded for result in found.values()),
            decodes=len(found),
        )

    def prefetch(self, image: Image) -> None:
        """Begins to encode the picture and returns at once: whoever asks for it a moment later finds it encoded.

        The first question about the picture still counts as the one that made it be encoded. Never raises: whatever is
        wrong, that question will say.
        """
        Thread(target=self._encode_quietly, args=(image,), daemon=True).start()

    def _encode_quietly(self, image: Image) -> None:
        with suppress(Exception):
            self._batcher([(image, None)])

    def vocabulary_warning(self, phrase: str) -> str:
        """What a user should know before trusting an answer about `phrase`: one sentence, or "" if there is nothing."""
        return self._backend.vocabulary_warning(phrase)


def _collect_versions() -> dict[str, str]:
    """Of the programs that have a part in an answer."""
    return {name: version(name) for name in ("sam3-agent", "torch", "transformers", "torchvision")}


def _group_by_image(requests: Sequence[Request]) -> list[int]:
    """The indices of the requests, those of one picture next to each other."""
    first: dict[str, int] = {}
    for index, (image, _) in enumerate(requests):
        first.setdefault(image.key, index)
    return sorted(range(len(requests)), key=lambda index: first[requests[index][0].key])


@dataclass(frozen=True, eq=False)
class _ServedRequest:
    instances: Instances
    encoded: int
    """Pictures that this request made be encoded."""


class _Server:
    """Serves batches of requests. Only ever called by the batcher's thread."""

    def __init__(self, backend: Backend, cache_bytes: int, host_bytes: int) -> None:
        self._backend = backend
        self._cache = build_embedding_cache(cache_bytes, host_bytes)
        self._prefetched: set[str] = set()
        """Pictures that were encoded before anybody asked about them."""

    def serve(self, requests: list[PrefetchRequest | Request]) -> list[_ServedRequest | None]:
        """One result per request, in order; None for a look."""
        images = {image.key: image for image, _ in requests}
        images |= {other.key: other for _, prompt in requests if (other := _get_exemplar_image(prompt)) is not None}
        uncharged = {key for key in images if key not in self._cache or key in self._prefetched}
        embeddings = self._cache.get_or_compute(
            images, lambda keys: self._backend.encode([images[key] for key in keys])
        )
        questions = [(image.key, prompt) for image, prompt in requests if prompt is not None]
        found = self._answer_prompts(
            [(_select_embedding(key, prompt, embeddings), prompt) for key, prompt in questions]
        )
        answers = []
        for (key, prompt), instances in zip(questions, found, strict=True):
            needed = {key} if (other := _get_exemplar_image(prompt)) is None else {key, other.key}
            answers.append(_ServedRequest(instances, encoded=len(needed & uncharged)))
            uncharged -= needed  # only the first of its requests pays for a picture
        self._prefetched = {key for key in (self._prefetched - images.keys()) | uncharged if key in self._cache}
        remaining = iter(answers)
        return [None if prompt is None else next(remaining) for _, prompt in requests]

    def _answer_prompts(self, requests: Sequence[tuple[Any, Prompt]]) -> list[Instances]:
        """Detector and tracker, each for its own requests, one result per request in order."""
        concepts = [(embedding, prompt) for embedding, prompt in requests if isinstance(prompt, ConceptPrompt)]
        objects = [(embedding, prompt) for embedding, prompt in requests if isinstance(prompt, VisualPrompt)]
        found = iter(
            self._backend.decode([embedding for embedding, _ in concepts], [prompt for _, prompt in concepts])
            if concepts
            else ()
        )
        refined = iter(
            self._backend.refine([embedding for embedding, _ in objects], [prompt for _, prompt in objects])
            if objects
            else ()
        )
        return [next(found if isinstance(prompt, ConceptPrompt) else refined) for _, prompt in requests]


def _get_exemplar_image(prompt: Prompt | None) -> Image | None:
    return prompt.exemplar_image if isinstance(prompt, ConceptPrompt) else None


def _select_embedding(key: str, prompt: Prompt, embeddings: Mapping[str, Embedding]) -> Any:
    """What a backend needs to know for this prompt about the picture with this key."""
    other = _get_exemplar_image(prompt)
    return embeddings[key] if other is None else CrossImageEmbedding(embeddings[key], embeddings[other.key])
