"""The server behind `Sam3`: what a batch of requests makes be encoded, and which request pays for it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sam3_tool.backends.base import Backend, CrossImageEmbedding, Embedding
from sam3_tool.backends.embeddings import build_embedding_cache
from sam3_tool.image import Image
from sam3_tool.instances import Instances
from sam3_tool.prompts import ConceptPrompt, Prompt, VisualPrompt

SegmentationRequest = tuple[Image, Prompt]
"""An image, and one question about it."""
PrefetchRequest = tuple[Image, None]
"""An image about which nothing is asked yet."""


@dataclass(frozen=True)
class EmbeddingPrompt:
    """Asks for the embedding itself, which whoever follows objects through a video holds on to."""


EmbeddingRequest = tuple[Image, EmbeddingPrompt]


@dataclass(frozen=True, eq=False)
class ServedRequest:
    """What one request found, and what it cost."""

    instances: Instances
    encoded: int
    """Images that this request made be encoded."""


@dataclass(frozen=True, eq=False)
class ServedEmbedding:
    """An embedding, and what it cost."""

    embedding: Any
    encoded: int
    """Images that this request made be encoded: 0 or 1."""


AnyRequest = PrefetchRequest | EmbeddingRequest | SegmentationRequest
Served = ServedRequest | ServedEmbedding | None


@dataclass(frozen=True)
class ServerLoad:
    """What a batch asked of the encoder."""

    images: int
    """Images that its requests are about."""
    encodes: int
    """Those of them that had not been encoded."""


class SegmentationServer:
    """Serves batches of requests. Only one thread at a time may call it."""

    def __init__(self, backend: Backend, cache_bytes: int, host_bytes: int) -> None:
        self._backend = backend
        self._cache = build_embedding_cache(cache_bytes, host_bytes)
        self._prefetched: set[str] = set()
        """Images that were encoded before anybody asked about them."""
        self.last_load = ServerLoad(0, 0)
        """Of the latest batch."""

    def serve(self, requests: list[AnyRequest]) -> list[Served]:
        """Answer every request in order. A prefetch request has the answer None."""
        images = {image.key: image for image, _ in requests}
        images |= {other.key: other for _, prompt in requests if (other := _get_exemplar_image(prompt)) is not None}
        unencoded = {key for key in images if key not in self._cache}
        self.last_load = ServerLoad(len(images), len(unencoded))
        uncharged = unencoded | (images.keys() & self._prefetched)
        embeddings = self._cache.get_or_compute(
            images, lambda keys: self._backend.encode([images[key] for key in keys])
        )
        questions = [
            (image.key, prompt) for image, prompt in requests if isinstance(prompt, ConceptPrompt | VisualPrompt)
        ]
        found = iter(
            self._answer_prompts([(_select_embedding(key, prompt, embeddings), prompt) for key, prompt in questions])
        )
        answers: list[Served] = []
        for request in requests:
            image, prompt = request
            if prompt is None:
                answers.append(None)
                continue
            needed = list_needed_images(request)
            encoded = len(needed & uncharged)
            uncharged -= needed  # only the first of its requests pays for an image
            if isinstance(prompt, EmbeddingPrompt):
                answers.append(ServedEmbedding(embeddings[image.key], encoded))
            else:
                answers.append(ServedRequest(next(found), encoded))
        # what was encoded and nobody has paid for yet is still owed by its first question
        self._prefetched = {key for key in (self._prefetched - images.keys()) | uncharged if key in self._cache}
        return answers

    def is_encoded(self, key: str) -> bool:
        """Whether the image with this key is remembered."""
        return key in self._cache

    @property
    def cache_bytes(self) -> int:
        """Bytes of the embeddings that are kept, on a GPU in its memory."""
        return self._cache.nbytes

    def _answer_prompts(self, requests: Sequence[tuple[Any, Prompt]]) -> list[Instances]:
        """Ask the detector and the tracker, each for its own requests, and return the results in order."""
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


def list_needed_images(request: AnyRequest) -> frozenset[str]:
    """Return the keys of the images that have to be encoded for a request."""
    image, prompt = request
    other = _get_exemplar_image(prompt)
    return frozenset({image.key} if other is None else {image.key, other.key})


def group_by_image(requests: Sequence[SegmentationRequest]) -> list[int]:
    """Return the indices of the requests with those of one image next to each other."""
    first: dict[str, int] = {}
    for index, (image, _) in enumerate(requests):
        first.setdefault(image.key, index)
    return sorted(range(len(requests)), key=lambda index: first[requests[index][0].key])


def _get_exemplar_image(prompt: Prompt | EmbeddingPrompt | None) -> Image | None:
    return prompt.exemplar_image if isinstance(prompt, ConceptPrompt) else None


def _select_embedding(key: str, prompt: Prompt, embeddings: Mapping[str, Embedding]) -> Any:
    """Return what a backend needs to know for this prompt about the image with this key."""
    other = _get_exemplar_image(prompt)
    return embeddings[key] if other is None else CrossImageEmbedding(embeddings[key], embeddings[other.key])
