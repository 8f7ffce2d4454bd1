"""A backend without weights: it returns the instances it was given."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from sam3_tool.backends.base import CrossImageEmbedding
from sam3_tool.image import Image
from sam3_tool.instances import Instances
from sam3_tool.masks.boxes import masks_to_boxes
from sam3_tool.masks.rle import compute_ious, encode_masks
from sam3_tool.phrases import normalize_phrase
from sam3_tool.prompts import Box, ConceptPrompt, VisualPrompt


@dataclass(frozen=True)
class ScriptedEmbedding:
    """Which image it is of, and the image's size in pixels.

    >>> ScriptedEmbedding("a", height=4, width=6).width
    6
    """

    key: str
    height: int
    width: int
    nbytes: int = 0


class ScriptedBackend:
    """A backend for tests: it answers a phrase with the instances scripted for it, and any other phrase with none.

    A prompt of boxes alone is looked up under the phrase ''; boxes beside a phrase change nothing. `refine` chooses
    among all masks scripted for the image: the three that agree best with clicks, box and mask, of those that agree at
    least by half. Their agreement is their score.

    Args:
        script: Key of an image -> phrase -> instances. The key None stands for any image without an entry of its own.
        normalize: Phrases are compared after this.

    >>> from sam3_tool import Image, Instances, Sam3, ScriptedBackend
    >>> cup = Instances(np.ones((1, 4, 6), bool), np.array([[0, 0, 6, 4]], np.float32),
    ...                 np.array([0.9], np.float32), 1.0, "cup")
    >>> sam3, image = Sam3(ScriptedBackend({None: {"red cup": cup}})), Image(np.zeros((4, 6, 3), np.uint8))
    >>> len(sam3.segment(image, "Red Cup")), len(sam3.segment(image, "hat"))
    (1, 0)
    """

    name = "scripted"

    def __init__(
        self,
        script: Mapping[str | None, Mapping[str, Instances]],
        *,
        normalize: Callable[[str], str] = normalize_phrase,
    ) -> None:
        self._normalize = normalize
        self._script = {
            key: {normalize(phrase): instances for phrase, instances in phrases.items()}
            for key, phrases in script.items()
        }

    def encode(self, images: Sequence[Image]) -> list[ScriptedEmbedding]:
        """Remember which images they are. See `Backend.encode`.

        Args:
            images: Any images.

        Returns:
            One embedding per image, of no size.
        """
        return [ScriptedEmbedding(image.key, image.height, image.width) for image in images]

    def decode(self, embeddings: Sequence[ScriptedEmbedding], prompts: Sequence[ConceptPrompt]) -> list[Instances]:
        """Return what is scripted for each prompt's phrase. See `Backend.decode`.

        Args:
            embeddings: What `encode` gave, one per prompt.
            prompts: As many as embeddings.

        Returns:
            The scripted instances with a score strictly above the prompt's threshold, best first.

        Raises:
            ValueError: The scripted masks have another size than the image.
        """
        return [
            self._answer_prompt(_get_target(embedding), prompt)
            for embedding, prompt in zip(embeddings, prompts, strict=True)
        ]

    def refine(self, embeddings: Sequence[ScriptedEmbedding], prompts: Sequence[VisualPrompt]) -> list[Instances]:
        """Return the scripted masks that agree best with each prompt. See `Backend.refine`.

        Args:
            embeddings: What `encode` gave, one per prompt.
            prompts: As many as embeddings.

        Returns:
            Up to three candidates per prompt, or the best where one mask is asked for; best agreement first.

        Raises:
            ValueError: The scripted masks have another size than the image.
        """
        return [self._refine_prompt(embedding, prompt) for embedding, prompt in zip(embeddings, prompts, strict=True)]

    def vocabulary_warning(self, phrase: str) -> str:
        """Say nothing: a script has no vocabulary.

        Args:
            phrase: Any phrase.

        Returns:
            "".
        """
        return ""

    def _answer_prompt(self, embedding: ScriptedEmbedding, prompt: ConceptPrompt) -> Instances:
        phrase = prompt.phrase or ""
        scripted = self._get_scripted(embedding).get(self._normalize(phrase))
        if scripted is None:
            return Instances.empty(embedding.height, embedding.width, phrase=phrase)
        _check_size(scripted, embedding, phrase)
        ordered = scripted[(-scripted.scores).argsort(kind="stable")]
        return replace(ordered[ordered.scores > prompt.threshold], phrase=phrase)

    def _refine_prompt(self, embedding: ScriptedEmbedding, prompt: VisualPrompt) -> Instances:
        scripted = self._get_scripted(embedding)
        for phrase, instances in scripted.items():
            _check_size(instances, embedding, phrase)
        every = [instances.masks for instances in scripted.values()]
        found = rank_by_agreement(
            np.concatenate([np.zeros((0, embedding.height, embedding.width), bool), *every]), prompt
        )
        return found if prompt.multimask else found[np.arange(len(found)) < 1]

    def _get_scripted(self, embedding: ScriptedEmbedding) -> Mapping[str, Instances]:
        """Return the instances of the image, by phrase."""
        return self._script.get(embedding.key, self._script.get(None, {}))


def _get_target(embedding: ScriptedEmbedding | CrossImageEmbedding) -> ScriptedEmbedding:
    return embedding.target if isinstance(embedding, CrossImageEmbedding) else embedding


def _check_size(scripted: Instances, embedding: ScriptedEmbedding, phrase: str) -> None:
    """Raise ValueError for masks of another size than the image's."""
    size = (embedding.height, embedding.width)
    if scripted.masks.shape[1:] != size:
        raise ValueError(f"scripted masks for {phrase!r} are {scripted.masks.shape[1:]}, the image is {size}")


def rank_by_agreement(masks: np.ndarray, prompt: VisualPrompt) -> Instances:
    """Return up to three of the masks, bool (N, H, W): those that agree best with the prompt, and at least by half."""
    agreement = _compute_agreement(masks, prompt)
    best = (-agreement).argsort(kind="stable")[:3]
    best = best[agreement[best] >= 0.5]
    scores = agreement[best].astype(np.float32)
    presence = float(scores.max(initial=0))
    return Instances(masks=masks[best], boxes=masks_to_boxes(masks[best]), scores=scores, presence=presence, phrase="")


def _compute_agreement(masks: np.ndarray, prompt: VisualPrompt) -> np.ndarray:
    """Return float, (N,), in [0, 1]: the mean over the clicks (right or wrong), the box (IoU) and the mask (IoU)."""
    height, width = masks.shape[1:]
    rights = [
        masks[:, min(int(y), height - 1), min(int(x), width - 1)] == bool(label)
        for (x, y), label in zip(prompt.points, prompt.labels, strict=True)
    ]
    if prompt.box is not None:
        rights.append(_compute_box_ious(masks_to_boxes(masks), prompt.box))
    if prompt.mask is not None:
        rights.append(compute_ious(encode_masks(masks), encode_masks(prompt.mask[None]))[:, 0])
    return np.asarray(np.mean([np.asarray(right, float) for right in rights], axis=0))


def _compute_box_ious(boxes: np.ndarray, box: Box) -> np.ndarray:
    low, high = np.maximum(boxes[:, :2], box[:2]), np.minimum(boxes[:, 2:], box[2:])
    shared = np.prod((high - low).clip(min=0), axis=1)
    areas = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1) + (box[2] - box[0]) * (box[3] - box[1])
    return np.asarray(shared / np.maximum(areas - shared, 1e-9))
