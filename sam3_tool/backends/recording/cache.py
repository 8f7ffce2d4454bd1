"""A backend that asks another one only what nobody has asked before."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any, TypeVar

import numpy as np

from sam3_tool.backends.base import (
    Backend,
    CrossImageEmbedding,
    Detections,
    Embedding,
    ObjectMemory,
    VideoBackend,
    require_concepts,
    require_video,
)
from sam3_tool.backends.embeddings import build_embedding_cache
from sam3_tool.backends.recording.calls import (
    SAM3_FOLDER,
    build_prompt_question,
    from_json,
    get_target,
    split_embedding,
    to_json,
    translate_errors,
)
from sam3_tool.backends.recording.format import AnswerCache, Question
from sam3_tool.backends.recording.memory import TranslatingMemory
from sam3_tool.concepts.concept import Concept
from sam3_tool.image import Image
from sam3_tool.instances import Instances
from sam3_tool.masks.rle import RleMask
from sam3_tool.probability import ProbabilityEstimator
from sam3_tool.prompts import ConceptPrompt, Prompt, VisualPrompt

AnyPrompt = TypeVar("AnyPrompt", ConceptPrompt, VisualPrompt)
AnswerFn = Callable[[Sequence[Any], Sequence[AnyPrompt]], list[Instances]]
"""A backend's `decode` or `refine`."""


@dataclass(frozen=True, eq=False)
class LazyEmbedding:
    """An image that is encoded only once something is asked that is not known yet."""

    image: Image

    @property
    def key(self) -> str:
        return self.image.key

    @property
    def nbytes(self) -> int:
        return self.image.pixels.nbytes


class CachingBackend:
    """A backend that asks another one only what nobody has asked before about images of the same content.

    Answers are as that backend gave them first, bit for bit. An image of which everything asked is known is never
    encoded. What is asked about a video goes to the other backend every time. One thread at a time may ask about
    images.
    """

    def __init__(
        self,
        backend: Backend,
        folder: str | Path,
        *,
        made_with: Mapping[str, str],
        cache_bytes: int,
        host_bytes: int = 0,
    ) -> None:
        """Keep answers in `folder`, under `made_with`: everything beside image and prompt that an answer depends on.

        `made_with` holds, for example, the hash of the weights.

        `cache_bytes` and `host_bytes`: room for the other backend's embeddings, as in `Sam3`.
        """
        self._backend = backend
        self._made_with = dict(made_with)
        self._embeddings = build_embedding_cache(cache_bytes, host_bytes)
        self._lock = Lock()  # of the embeddings, which images and videos share
        with translate_errors():
            self._answer_cache = AnswerCache(Path(folder) / SAM3_FOLDER)

    @property
    def name(self) -> str:
        return self._backend.name

    @property
    def runs_on(self) -> str:
        """Device and number format of the other backend; empty where there is no network."""
        return str(getattr(self._backend, "runs_on", ""))

    @property
    def device_name(self) -> str:
        """What the other backend's device is called; empty where it does not say."""
        return str(getattr(self._backend, "device_name", ""))

    @property
    def fingerprint(self) -> str:
        """Fingerprint of the other backend's weights; empty where it has none."""
        return str(getattr(self._backend, "fingerprint", ""))

    @property
    def probability_estimator(self) -> ProbabilityEstimator | None:
        """Estimator of the other backend; None where it is not calibrated."""
        return getattr(self._backend, "probability_estimator", None)

    @property
    def calibration_fault(self) -> str:
        """Why the other backend's calibration is not used; empty where none is amiss."""
        return str(getattr(self._backend, "calibration_fault", ""))

    def encode(self, images: Sequence[Image]) -> list[LazyEmbedding]:
        return [LazyEmbedding(image) for image in images]

    def decode(self, embeddings: Sequence[LazyEmbedding], prompts: Sequence[ConceptPrompt]) -> list[Instances]:
        return self._answer_requests(list(zip(embeddings, prompts, strict=True)), self._backend.decode)

    def refine(self, embeddings: Sequence[LazyEmbedding], prompts: Sequence[VisualPrompt]) -> list[Instances]:
        return self._answer_requests(list(zip(embeddings, prompts, strict=True)), self._backend.refine)

    def describe_examples(self, embedding: LazyEmbedding, prompt: ConceptPrompt) -> Concept:
        return require_concepts(self._backend).describe_examples(self._encode_lazy([embedding])[0], prompt)

    def detect(self, embeddings: Sequence[LazyEmbedding], prompts: Sequence[ConceptPrompt]) -> list[Detections]:
        return self._get_video_backend().detect(self._encode_lazy(embeddings), prompts)

    def open_memory(self, height: int, width: int, length: int) -> ObjectMemory:
        memory = self._get_video_backend().open_memory(height, width, length)
        return TranslatingMemory(memory, lambda embedding: self._encode_lazy([embedding])[0])

    def upsample_masks(self, logits: np.ndarray, height: int, width: int) -> list[RleMask]:
        return self._get_video_backend().upsample_masks(logits, height, width)

    def vocabulary_warning(self, phrase: str) -> str:
        return self._backend.vocabulary_warning(phrase)

    def _get_video_backend(self) -> VideoBackend:
        return require_video(self._backend)

    def _answer_requests(
        self, requests: Sequence[tuple[LazyEmbedding, AnyPrompt]], ask: AnswerFn[AnyPrompt]
    ) -> list[Instances]:
        known = [self._get_known(embedding, prompt) for embedding, prompt in requests]
        fresh = iter(
            self._ask_backend([request for request, found in zip(requests, known, strict=True) if found is None], ask)
        )
        return [next(fresh) if found is None else found for found in known]

    def _get_known(self, embedding: LazyEmbedding, prompt: Prompt) -> Instances | None:
        try:
            saved = self._answer_cache.get(self._build_question(embedding, prompt))
            return None if saved is None else from_json(saved)
        except (AttributeError, KeyError, TypeError, ValueError):
            return None

    def _ask_backend(
        self, requests: Sequence[tuple[LazyEmbedding, AnyPrompt]], ask: AnswerFn[AnyPrompt]
    ) -> list[Instances]:
        if not requests:
            return []
        embeddings = self._encode_lazy([embedding for embedding, _ in requests])
        found = ask(embeddings, [prompt for _, prompt in requests])
        with translate_errors():
            for (embedding, prompt), instances in zip(requests, found, strict=True):
                self._answer_cache.put(self._build_question(embedding, prompt), to_json(instances))
        return found

    def _encode_lazy(self, lazy: Sequence[LazyEmbedding | CrossImageEmbedding]) -> list[Any]:
        """Return the other backend's embeddings, encoded now or remembered."""
        images = {part.key: part.image for embedding in lazy for part in split_embedding(embedding)}
        with self._lock:
            embeddings = self._embeddings.get_or_compute(
                images, lambda keys: self._backend.encode([images[key] for key in keys])
            )
        return [_look_up_embedding(embedding, embeddings) for embedding in lazy]

    def _build_question(self, embedding: LazyEmbedding, prompt: Prompt) -> Question:
        return {**self._made_with, **build_prompt_question(get_target(embedding).key, prompt)}


def _look_up_embedding(embedding: Any, embeddings: Mapping[str, Embedding]) -> Any:
    """Return the other backend's embedding, found by the key of its image."""
    parts = [embeddings[part.key] for part in split_embedding(embedding)]
    return CrossImageEmbedding(*parts) if len(parts) > 1 else parts[0]
