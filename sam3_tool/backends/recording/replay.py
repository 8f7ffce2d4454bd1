"""SAM 3's answers, written down and read back: a replay needs no checkpoint, no torch and no GPU."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from sam3_tool.backends.base import Backend, CrossImageEmbedding, Embedding
from sam3_tool.backends.recording.format import AnswerCache, Question, Recorder, RecordingReader
from sam3_tool.backends.transformers.embeddings import build_embedding_cache
from sam3_tool.errors import CheckpointError, RecordError
from sam3_tool.image import Image
from sam3_tool.instances import Instances
from sam3_tool.masks import rle
from sam3_tool.prompts import ConceptPrompt, Prompt, VisualPrompt

SAM3_FOLDER = "sam3"
"""Of SAM 3's calls, inside the folder of a recording."""

_NAME_QUESTION: Question = {"what": "name"}

AnyPrompt = TypeVar("AnyPrompt", ConceptPrompt, VisualPrompt)
AnswerFn = Callable[[Sequence[Any], Sequence[AnyPrompt]], list[Instances]]
"""A backend's `decode` or `refine`."""


@dataclass(frozen=True, eq=False)
class RecordingEmbedding:
    """An embedding, and which picture it is of."""

    key: str
    inner: Any

    @property
    def nbytes(self) -> int:
        return int(self.inner.nbytes)

    def copy_to_host(self) -> "RecordingEmbedding":
        return replace(self, inner=self.inner.copy_to_host())

    def copy_to_device(self) -> "RecordingEmbedding":
        return replace(self, inner=self.inner.copy_to_device())


@dataclass(frozen=True)
class RecordedEmbedding:
    """All that a replay needs of a picture: which it is. It takes no room."""

    key: str
    nbytes: int = 0


class RecordingBackend:
    """Asks another backend, and writes its answers into `folder`. As safe between threads as that backend.

    Raises CheckpointError, in one sentence, if the folder cannot be written.
    """

    def __init__(self, backend: Backend, folder: str | Path) -> None:
        self._backend = backend
        with _translate_errors():
            self._recorder = Recorder(Path(folder) / SAM3_FOLDER)
            self._recorder.add_answer(_NAME_QUESTION, backend.name)

    @property
    def name(self) -> str:
        return self._backend.name

    def encode(self, images: Sequence[Image]) -> list[RecordingEmbedding]:
        embeddings = self._backend.encode(images)
        return [RecordingEmbedding(image.key, embedding) for image, embedding in zip(images, embeddings, strict=True)]

    def decode(self, embeddings: Sequence[RecordingEmbedding], prompts: Sequence[ConceptPrompt]) -> list[Instances]:
        found = self._backend.decode([_unwrap_embedding(embedding) for embedding in embeddings], prompts)
        return self._record_answers(embeddings, prompts, found)

    def refine(self, embeddings: Sequence[RecordingEmbedding], prompts: Sequence[VisualPrompt]) -> list[Instances]:
        found = self._backend.refine([embedding.inner for embedding in embeddings], prompts)
        return self._record_answers(embeddings, prompts, found)

    def _record_answers(
        self, embeddings: Sequence[RecordingEmbedding], prompts: Sequence[Prompt], found: list[Instances]
    ) -> list[Instances]:
        with _translate_errors():
            for embedding, prompt, instances in zip(embeddings, prompts, found, strict=True):
                self._recorder.add_answer(
                    _build_prompt_question(_get_target(embedding).key, prompt), to_json(instances)
                )
        return found

    def vocabulary_warning(self, phrase: str) -> str:
        warning = self._backend.vocabulary_warning(phrase)
        with _translate_errors():
            self._recorder.add_answer(_build_warning_question(phrase), warning)
        return warning


class ReplayingBackend:
    """Answers what was recorded in `folder`, bit for bit. Safe to share between threads.

    Raises CheckpointError, in one sentence, for whatever was not recorded there.
    """

    def __init__(self, folder: str | Path) -> None:
        self._reader = RecordingReader(Path(folder) / SAM3_FOLDER)
        with _translate_errors():
            self.name = str(self._reader.read_answer(_NAME_QUESTION))

    def encode(self, images: Sequence[Image]) -> list[RecordedEmbedding]:
        return [RecordedEmbedding(image.key) for image in images]

    def decode(self, embeddings: Sequence[RecordedEmbedding], prompts: Sequence[ConceptPrompt]) -> list[Instances]:
        return [
            self._read_instances(_get_target(embedding).key, prompt)
            for embedding, prompt in zip(embeddings, prompts, strict=True)
        ]

    def refine(self, embeddings: Sequence[RecordedEmbedding], prompts: Sequence[VisualPrompt]) -> list[Instances]:
        return [
            self._read_instances(embedding.key, prompt) for embedding, prompt in zip(embeddings, prompts, strict=True)
        ]

    def vocabulary_warning(self, phrase: str) -> str:
        with _translate_errors(f"a caveat on {phrase!r} was not asked for when it was made"):
            return str(self._reader.read_answer(_build_warning_question(phrase)))

    def _read_instances(self, key: str, prompt: Prompt) -> Instances:
        what = prompt.phrase or "examples" if isinstance(prompt, ConceptPrompt) else "an object by clicks"
        with _translate_errors(f"SAM 3 was not asked for {what!r} like this when it was made"):
            saved = self._reader.read_answer(_build_prompt_question(key, prompt))
        try:
            return from_json(saved)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise CheckpointError(f"what SAM 3 found for {what!r} is damaged in the recording: {error}") from error


@dataclass(frozen=True, eq=False)
class LazyEmbedding:
    """A picture that is encoded only once something is asked that is not known yet."""

    image: Image

    @property
    def key(self) -> str:
        return self.image.key

    @property
    def nbytes(self) -> int:
        return self.image.pixels.nbytes


class CachingBackend:
    """Asks another backend only what nobody has asked before, about pictures of the same content.

    Answers are as that backend gave them first, bit for bit. A picture of which everything asked is known is never
    encoded. As safe between threads as the other backend, if one thread at a time calls it.
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
        """`made_with`: everything beside picture and prompt that an answer depends on, e.g. the hash of the weights.

        `cache_bytes` and `host_bytes`: room for the other backend's embeddings, as in `Sam3`.
        """
        self._backend = backend
        self._made_with = dict(made_with)
        self._embeddings = build_embedding_cache(cache_bytes, host_bytes)
        with _translate_errors():
            self._answer_cache = AnswerCache(Path(folder) / SAM3_FOLDER)

    @property
    def name(self) -> str:
        return self._backend.name

    def encode(self, images: Sequence[Image]) -> list[LazyEmbedding]:
        return [LazyEmbedding(image) for image in images]

    def decode(self, embeddings: Sequence[LazyEmbedding], prompts: Sequence[ConceptPrompt]) -> list[Instances]:
        return self._answer_requests(list(zip(embeddings, prompts, strict=True)), self._backend.decode)

    def refine(self, embeddings: Sequence[LazyEmbedding], prompts: Sequence[VisualPrompt]) -> list[Instances]:
        return self._answer_requests(list(zip(embeddings, prompts, strict=True)), self._backend.refine)

    def vocabulary_warning(self, phrase: str) -> str:
        return self._backend.vocabulary_warning(phrase)

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
        every = [part for embedding, _ in requests for part in _split_embedding(embedding)]
        images = {part.key: part.image for part in every}
        embeddings = self._embeddings.get_or_compute(
            images, lambda keys: self._backend.encode([images[key] for key in keys])
        )
        found = ask(
            [_look_up_embedding(embedding, embeddings) for embedding, _ in requests], [prompt for _, prompt in requests]
        )
        with _translate_errors():
            for (embedding, prompt), instances in zip(requests, found, strict=True):
                self._answer_cache.put(self._build_question(embedding, prompt), to_json(instances))
        return found

    def _build_question(self, embedding: LazyEmbedding, prompt: Prompt) -> Question:
        return {**self._made_with, **_build_prompt_question(_get_target(embedding).key, prompt)}


def to_json(instances: Instances) -> dict[str, Any]:
    """As plain JSON values. Numbers are written out until no other number of their type is as near."""
    height, width = instances.size
    return {
        "height": height,
        "width": width,
        "masks": [mask.counts for mask in instances.rles],
        "boxes": instances.boxes.tolist(),
        "scores": instances.scores.tolist(),
        "presence": float(instances.presence),
        "phrase": instances.phrase,
    }


def from_json(saved: dict[str, Any]) -> Instances:
    """What `to_json` was given. Raises KeyError, TypeError or ValueError where it is damaged."""
    size = int(saved["height"]), int(saved["width"])
    masks = [rle.RleMask(size, counts) for counts in saved["masks"]]
    for mask in masks:
        rle.check_runs(mask)
    return Instances.from_rles(
        masks,
        size,
        boxes=np.array(saved["boxes"], np.float32).reshape(-1, 4),
        scores=np.array(saved["scores"], np.float32),
        presence=float(saved["presence"]),
        phrase=saved["phrase"],
    )


def _get_target(embedding: Any) -> Any:
    """Of the picture that is asked about."""
    return embedding.target if isinstance(embedding, CrossImageEmbedding) else embedding


def _split_embedding(embedding: Any) -> list[Any]:
    return [embedding.target, embedding.exemplar] if isinstance(embedding, CrossImageEmbedding) else [embedding]


def _unwrap_embedding(embedding: Any) -> Any:
    """The other backend's."""
    parts = [part.inner for part in _split_embedding(embedding)]
    return CrossImageEmbedding(*parts) if len(parts) > 1 else parts[0]


def _look_up_embedding(embedding: Any, embeddings: Mapping[str, Embedding]) -> Any:
    """The other backend's, by the keys of their pictures."""
    parts = [embeddings[part.key] for part in _split_embedding(embedding)]
    return CrossImageEmbedding(*parts) if len(parts) > 1 else parts[0]


def _build_prompt_question(key: str, prompt: Prompt) -> Question:
    if isinstance(prompt, ConceptPrompt):
        exemplar_key = {} if prompt.exemplar_image is None else {"like": prompt.exemplar_image.key}
        plain = {field.name: getattr(prompt, field.name) for field in fields(prompt) if field.name != "exemplar_image"}
        return {"what": "find", "picture": key, **plain, **exemplar_key}
    mask = None if prompt.mask is None else rle.encode_masks(prompt.mask[None])[0].counts
    return {"what": "refine", "picture": key, **asdict(prompt), "mask": mask}


def _build_warning_question(phrase: str) -> Question:
    return {"what": "caveat", "phrase": phrase}


@contextmanager
def _translate_errors(hint: str = "") -> Iterator[None]:
    """A call that cannot be recorded or replayed, as the error that a caller of a backend expects."""
    try:
        yield
    except RecordError as error:
        raise CheckpointError(f"{error}; {hint}" if hint else str(error)) from error
