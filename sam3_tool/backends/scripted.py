"""A backend without weights: it returns the instances it was given."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from sam3_tool.instances import Instances
from sam3_tool.picture import Picture
from sam3_tool.prompt import ConceptPrompt


def plain(phrase: str) -> str:
    """Lower case, single spaces.

    >>> plain("  Red  Circle ")
    'red circle'
    """
    return " ".join(phrase.casefold().split())


@dataclass(frozen=True)
class ScriptedEmbedding:
    """Which picture it is, and its size in pixels."""

    key: str
    height: int
    width: int
    nbytes: int = 0


class ScriptedBackend:
    """Answers a phrase with the instances that are scripted for it, and any other phrase with none.

    `script`: picture key -> phrase -> instances; the key None stands for any picture without an entry of its own.
    Phrases are compared after `normalise`. A prompt of boxes alone is looked up under the phrase ''; boxes beside a
    phrase change nothing. Scripted instances are returned best score first, those strictly above the threshold.
    """

    name = "scripted"

    def __init__(
        self, script: Mapping[str | None, Mapping[str, Instances]], *, normalise: Callable[[str], str] = plain
    ) -> None:
        self._normalise = normalise
        self._script = {
            key: {normalise(phrase): instances for phrase, instances in phrases.items()}
            for key, phrases in script.items()
        }

    def encode(self, pictures: Sequence[Picture]) -> list[ScriptedEmbedding]:
        return [ScriptedEmbedding(picture.key, picture.height, picture.width) for picture in pictures]

    def decode(self, embeddings: Sequence[ScriptedEmbedding], prompts: Sequence[ConceptPrompt]) -> list[Instances]:
        return [self._answer(embedding, prompt) for embedding, prompt in zip(embeddings, prompts, strict=True)]

    def caveat(self, phrase: str) -> str:
        return ""

    def _answer(self, embedding: ScriptedEmbedding, prompt: ConceptPrompt) -> Instances:
        phrase = prompt.phrase or ""
        phrases = self._script.get(embedding.key, self._script.get(None, {}))
        scripted = phrases.get(self._normalise(phrase))
        if scripted is None:
            return Instances.empty(embedding.height, embedding.width, phrase=phrase)
        if scripted.masks.shape[1:] != (embedding.height, embedding.width):
            size = (embedding.height, embedding.width)
            raise ValueError(f"scripted masks for {phrase!r} are {scripted.masks.shape[1:]}, the picture is {size}")
        ordered = scripted[(-scripted.scores).argsort(kind="stable")]
        return replace(ordered[ordered.scores > prompt.threshold], phrase=phrase)
