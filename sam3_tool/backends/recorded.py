"""SAM 3's answers, written down and read back: a replay needs no checkpoint, no torch and no GPU."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from sam3_tool import rle
from sam3_tool.backends import Backend, Beside, CheckpointError, Embedding
from sam3_tool.backends.embeddings import embedding_cache
from sam3_tool.instances import Instances
from sam3_tool.picture import Picture
from sam3_tool.prompt import ConceptPrompt, Prompt, VisualPrompt
from sam3_tool.recording import Asked, Recorded, Recorder, RecordingError, Remembered

FOLDER = "sam3"
"""Of SAM 3's calls, inside the folder of a recording."""

_NAME: Asked = {"what": "name"}

AnyPrompt = TypeVar("AnyPrompt", ConceptPrompt, VisualPrompt)
Ask = Callable[[Sequence[Any], Sequence[AnyPrompt]], list[Instances]]
"""A backend's `decode` or `refine`."""


@dataclass(frozen=True, eq=False)
class RecordingEmbedding:
    """An embedding, and which picture it is of."""

    key: str
    inner: Any

    @property
    def nbytes(self) -> int:
        return int(self.inner.nbytes)

    def on_host(self) -> "RecordingEmbedding":
        return replace(self, inner=self.inner.on_host())

    def on_device(self) -> "RecordingEmbedding":
        return replace(self, inner=self.inner.on_device())


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
        with _in_words():
            self._recorder = Recorder(Path(folder) / FOLDER)
            self._recorder.add(_NAME, backend.name)

    @property
    def name(self) -> str:
        return self._backend.name

    def encode(self, pictures: Sequence[Picture]) -> list[RecordingEmbedding]:
        embeddings = self._backend.encode(pictures)
        return [RecordingEmbedding(picture.key, one) for picture, one in zip(pictures, embeddings, strict=True)]

    def decode(self, embeddings: Sequence[RecordingEmbedding], prompts: Sequence[ConceptPrompt]) -> list[Instances]:
        found = self._backend.decode([_inner(embedding) for embedding in embeddings], prompts)
        return self._recorded(embeddings, prompts, found)

    def refine(self, embeddings: Sequence[RecordingEmbedding], prompts: Sequence[VisualPrompt]) -> list[Instances]:
        found = self._backend.refine([embedding.inner for embedding in embeddings], prompts)
        return self._recorded(embeddings, prompts, found)

    def _recorded(
        self, embeddings: Sequence[RecordingEmbedding], prompts: Sequence[Prompt], found: list[Instances]
    ) -> list[Instances]:
        with _in_words():
            for embedding, prompt, instances in zip(embeddings, prompts, found, strict=True):
                self._recorder.add(_find(_seen(embedding).key, prompt), to_json(instances))
        return found

    def caveat(self, phrase: str) -> str:
        caveat = self._backend.caveat(phrase)
        with _in_words():
            self._recorder.add(_caveat(phrase), caveat)
        return caveat


class ReplayingBackend:
    """Answers what was recorded in `folder`, bit for bit. Safe to share between threads.

    Raises CheckpointError, in one sentence, for whatever was not recorded there.
    """

    def __init__(self, folder: str | Path) -> None:
        self._recorded = Recorded(Path(folder) / FOLDER)
        with _in_words():
            self.name = str(self._recorded.answer(_NAME))

    def encode(self, pictures: Sequence[Picture]) -> list[RecordedEmbedding]:
        return [RecordedEmbedding(picture.key) for picture in pictures]

    def decode(self, embeddings: Sequence[RecordedEmbedding], prompts: Sequence[ConceptPrompt]) -> list[Instances]:
        return [
            self._found(_seen(embedding).key, prompt) for embedding, prompt in zip(embeddings, prompts, strict=True)
        ]

    def refine(self, embeddings: Sequence[RecordedEmbedding], prompts: Sequence[VisualPrompt]) -> list[Instances]:
        return [self._found(embedding.key, prompt) for embedding, prompt in zip(embeddings, prompts, strict=True)]

    def caveat(self, phrase: str) -> str:
        with _in_words(f"a caveat on {phrase!r} was not asked for when it was made"):
            return str(self._recorded.answer(_caveat(phrase)))

    def _found(self, key: str, prompt: Prompt) -> Instances:
        what = prompt.phrase or "examples" if isinstance(prompt, ConceptPrompt) else "an object by clicks"
        with _in_words(f"SAM 3 was not asked for {what!r} like this when it was made"):
            held = self._recorded.answer(_find(key, prompt))
        try:
            return from_json(held)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise CheckpointError(f"what SAM 3 found for {what!r} is damaged in the recording: {error}") from error


@dataclass(frozen=True, eq=False)
class AwaitedEmbedding:
    """A picture that is encoded only once something is asked that is not known yet."""

    picture: Picture

    @property
    def key(self) -> str:
        return self.picture.key

    @property
    def nbytes(self) -> int:
        return self.picture.pixels.nbytes


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
        self._embeddings = embedding_cache(cache_bytes, host_bytes)
        with _in_words():
            self._remembered = Remembered(Path(folder) / FOLDER)

    @property
    def name(self) -> str:
        return self._backend.name

    def encode(self, pictures: Sequence[Picture]) -> list[AwaitedEmbedding]:
        return [AwaitedEmbedding(picture) for picture in pictures]

    def decode(self, embeddings: Sequence[AwaitedEmbedding], prompts: Sequence[ConceptPrompt]) -> list[Instances]:
        return self._answer(list(zip(embeddings, prompts, strict=True)), self._backend.decode)

    def refine(self, embeddings: Sequence[AwaitedEmbedding], prompts: Sequence[VisualPrompt]) -> list[Instances]:
        return self._answer(list(zip(embeddings, prompts, strict=True)), self._backend.refine)

    def caveat(self, phrase: str) -> str:
        return self._backend.caveat(phrase)

    def _answer(self, requests: Sequence[tuple[AwaitedEmbedding, AnyPrompt]], ask: Ask[AnyPrompt]) -> list[Instances]:
        known = [self._known(awaited, prompt) for awaited, prompt in requests]
        fresh = iter(self._ask([one for one, found in zip(requests, known, strict=True) if found is None], ask))
        return [next(fresh) if found is None else found for found in known]

    def _known(self, awaited: AwaitedEmbedding, prompt: Prompt) -> Instances | None:
        try:
            held = self._remembered.get(self._asked(awaited, prompt))
            return None if held is None else from_json(held)
        except (AttributeError, KeyError, TypeError, ValueError):
            return None

    def _ask(self, requests: Sequence[tuple[AwaitedEmbedding, AnyPrompt]], ask: Ask[AnyPrompt]) -> list[Instances]:
        if not requests:
            return []
        every = [one for awaited, _ in requests for one in _parts(awaited)]
        pictures = {awaited.key: awaited.picture for awaited in every}
        embeddings = self._embeddings.get_all(
            pictures, lambda keys: self._backend.encode([pictures[key] for key in keys])
        )
        found = ask([_of(one, embeddings) for one, _ in requests], [prompt for _, prompt in requests])
        with _in_words():
            for (awaited, prompt), instances in zip(requests, found, strict=True):
                self._remembered.put(self._asked(awaited, prompt), to_json(instances))
        return found

    def _asked(self, awaited: AwaitedEmbedding, prompt: Prompt) -> Asked:
        return {**self._made_with, **_find(_seen(awaited).key, prompt)}


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


def from_json(held: dict[str, Any]) -> Instances:
    """What `to_json` was given. Raises KeyError, TypeError or ValueError where it is damaged."""
    size = int(held["height"]), int(held["width"])
    masks = [rle.Rle(size, counts) for counts in held["masks"]]
    for mask in masks:
        rle.check(mask)
    return Instances.compressed(
        masks,
        size,
        boxes=np.array(held["boxes"], np.float32).reshape(-1, 4),
        scores=np.array(held["scores"], np.float32),
        presence=float(held["presence"]),
        phrase=held["phrase"],
    )


def _seen(embedding: Any) -> Any:
    """Of the picture that is asked about."""
    return embedding.seen if isinstance(embedding, Beside) else embedding


def _parts(embedding: Any) -> list[Any]:
    return [embedding.seen, embedding.example] if isinstance(embedding, Beside) else [embedding]


def _inner(embedding: Any) -> Any:
    """The other backend's."""
    parts = [one.inner for one in _parts(embedding)]
    return Beside(*parts) if len(parts) > 1 else parts[0]


def _of(awaited: Any, embeddings: Mapping[str, Embedding]) -> Any:
    """The other backend's, by the keys of their pictures."""
    parts = [embeddings[one.key] for one in _parts(awaited)]
    return Beside(*parts) if len(parts) > 1 else parts[0]


def _find(key: str, prompt: Prompt) -> Asked:
    if isinstance(prompt, ConceptPrompt):
        like = {} if prompt.like is None else {"like": prompt.like.key}
        plain = {field.name: getattr(prompt, field.name) for field in fields(prompt) if field.name != "like"}
        return {"what": "find", "picture": key, **plain, **like}
    mask = None if prompt.mask is None else rle.encode_all(prompt.mask[None])[0].counts
    return {"what": "refine", "picture": key, **asdict(prompt), "mask": mask}


def _caveat(phrase: str) -> Asked:
    return {"what": "caveat", "phrase": phrase}


@contextmanager
def _in_words(hint: str = "") -> Iterator[None]:
    """A call that cannot be recorded or replayed, as the error that a caller of a backend expects."""
    try:
        yield
    except RecordingError as error:
        raise CheckpointError(f"{error}; {hint}" if hint else str(error)) from error
