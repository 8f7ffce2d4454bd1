"""What every backend of SAM 3 can do: the real network, a recording, or a script that needs no weights."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:  # whoever only wants the errors should not wait for NumPy
    from sam3_tool.image import Image
    from sam3_tool.instances import Instances
    from sam3_tool.prompts import ConceptPrompt, VisualPrompt


class Embedding(Protocol):
    """Whatever a backend needs to know about one image to decode prompts. Opaque to others but for its size.

    >>> from sam3_tool import Embedding, ScriptedEmbedding
    >>> embedding: Embedding = ScriptedEmbedding("a", height=4, width=6)
    >>> embedding.nbytes
    0
    """

    @property
    def nbytes(self) -> int:
        """Memory that it takes, in bytes."""
        ...


@dataclass(frozen=True, eq=False)
class CrossImageEmbedding:
    """The embedding of an image, and of another one that the boxes of its prompt lie in.

    A backend is given it for a `ConceptPrompt` with an `exemplar_image`.

    >>> CrossImageEmbedding(target="what encode gave for one", exemplar="and for the other").target
    'what encode gave for one'
    """

    target: Any
    """The embedding of the image that is asked about."""
    exemplar: Any
    """The embedding of the image that the boxes lie in."""


class Backend(Protocol):
    """Where SAM 3 runs, in two halves, so that an image is encoded once however much is asked of it.

    Another package adds a backend with an entry point in the group `sam3_agent.backends`:
    `load(weights, *, device, dtype, compile) -> Backend`, with the options of `Sam3.load`. A backend may say more about
    itself, and `Sam3` reads it where it is there:

    - `runs_on: str`, e.g. "cpu float32", for headers and reports.
    - `fingerprint: str`, which tells its weights from all others; `Sam3.load(…, cache=…)` needs it.
    - `is_on_gpu: bool`: its embeddings are then `sam3_tool.backends.embeddings.MovableEmbedding`.
    - `free_bytes: int`: memory that is free there. A quarter of it is room for embeddings.

    >>> from sam3_tool import Backend, ScriptedBackend
    >>> backend: Backend = ScriptedBackend({})
    >>> backend.name
    'scripted'
    """

    @property
    def name(self) -> str:
        """Which weights answer, for headers and reports: 'tiny', 'facebook/sam3', 'scripted'."""
        ...

    def encode(self, images: "Sequence[Image]") -> Sequence[Embedding]:
        """Encode images: the expensive half, one pass of the vision encoder over a batch.

        Args:
            images: One or more images of any size.

        Returns:
            One embedding per image, in order.
        """
        ...

    def decode(self, embeddings: Sequence[Any], prompts: "Sequence[ConceptPrompt]") -> "list[Instances]":
        """Find every instance of concepts: the cheap half, as a batch.

        Args:
            embeddings: What `encode` gave, one per prompt; they may repeat. For a prompt whose boxes lie in another
                image it is a `CrossImageEmbedding`.
            prompts: As many as embeddings.

        Returns:
            The instances of each prompt, best score first.
        """
        ...

    def refine(self, embeddings: Sequence[Any], prompts: "Sequence[VisualPrompt]") -> "list[Instances]":
        """Find one object per prompt.

        Args:
            embeddings: What `encode` gave, one per prompt; they may repeat.
            prompts: As many as embeddings.

        Returns:
            The candidates of each prompt, best predicted quality first; one alone where `multimask` is False.

        Raises:
            CheckpointError: These weights cannot follow clicks.
        """
        ...

    def vocabulary_warning(self, phrase: str) -> str:
        """Say how these weights are limited in a way that bears on a phrase.

        Args:
            phrase: The phrase that is asked for.

        Returns:
            One sentence, or "" if they are not.
        """
        ...
