"""A backend for images alone, as those of hosted services are."""

from collections.abc import Sequence
from typing import Any

from sam3_tool import ConceptPrompt, Image, Instances, ScriptedBackend, VisualPrompt


class ImageBackend:
    """Answers what a script says, and cannot follow objects."""

    name = "images"

    def __init__(self) -> None:
        self._script = ScriptedBackend({})

    def encode(self, images: Sequence[Image]) -> list[Any]:
        return list(self._script.encode(images))

    def decode(self, embeddings: Sequence[Any], prompts: Sequence[ConceptPrompt]) -> list[Instances]:
        return self._script.decode(embeddings, prompts)

    def refine(self, embeddings: Sequence[Any], prompts: Sequence[VisualPrompt]) -> list[Instances]:
        return self._script.refine(embeddings, prompts)

    def vocabulary_warning(self, phrase: str) -> str:
        return ""
