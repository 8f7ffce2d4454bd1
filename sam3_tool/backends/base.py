"""Where SAM 3 runs. `Sam3` talks to a backend: the real network, or a scripted one that needs no weights."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:  # whoever only wants the errors should not wait for NumPy
    from sam3_tool.image import Image
    from sam3_tool.instances import Instances
    from sam3_tool.prompts import ConceptPrompt, VisualPrompt


class Embedding(Protocol):
    """Whatever a backend's `decode` and `refine` need to know about one picture. Opaque to others but for its size."""

    @property
    def nbytes(self) -> int: ...


@dataclass(frozen=True, eq=False)
class CrossImageEmbedding:
    """The embedding of a picture, and of the other one that the boxes of its prompt lie in (`ConceptPrompt.like`)."""

    target: Any
    exemplar: Any


class Backend(Protocol):
    """Two halves, so that a picture is encoded once however much is asked of it."""

    @property
    def name(self) -> str:
        """Which weights, for headers and reports: 'tiny', 'facebook/sam3', 'scripted'."""
        ...

    def encode(self, images: "Sequence[Image]") -> Sequence[Embedding]:
        """The expensive half: one vision-encoder pass over a batch of pictures."""
        ...

    def decode(self, embeddings: Sequence[Any], prompts: "Sequence[ConceptPrompt]") -> "list[Instances]":
        """The cheap half: one prompt per embedding of this backend's `encode` (they may repeat), as a batch.

        For a prompt whose boxes lie in another picture it is given two embeddings as one `CrossImageEmbedding`.
        """
        ...

    def refine(self, embeddings: Sequence[Any], prompts: "Sequence[VisualPrompt]") -> "list[Instances]":
        """As `decode`, for one object each: its candidates, best predicted quality first.

        Raises `CheckpointError` if these weights cannot follow clicks.
        """
        ...

    def vocabulary_warning(self, phrase: str) -> str:
        """One sentence when these weights are limited in a way that bears on `phrase`, else ""."""
        ...
