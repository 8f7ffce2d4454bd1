"""A backend without weights: it returns the instances it was given."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from sam3_tool.backends.base import CrossImageEmbedding, Detections, LowMasks, ObjectMemory
from sam3_tool.image import Image
from sam3_tool.instances import Instances
from sam3_tool.masks.boxes import masks_to_boxes
from sam3_tool.masks.rle import RleMask, compute_ious, encode_masks
from sam3_tool.phrases import normalize_phrase
from sam3_tool.probability import ProbabilityEstimator
from sam3_tool.prompts import Box, ConceptPrompt, PointsPrompt, VisualPrompt
from sam3_tool.video.masklets import Masklets
from sam3_tool.video.video import Video

INSIDE, OUTSIDE = 10.0, -10.0
"""Logits of scripted masks."""
ScriptedObject = tuple[str, int]
"""A phrase, and which of its objects."""


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
        ids: For videos, who the instances are: the same keys and phrases, one number per instance. Left out, the first
            instance of a phrase is one object on all frames, the second another one, and so on. `from_video` is easier.
        probability_estimator: How likely its masks are said to be right. Default: it is not calibrated.

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
        ids: Mapping[str | None, Mapping[str, Sequence[int]]] | None = None,
        probability_estimator: ProbabilityEstimator | None = None,
    ) -> None:
        self.probability_estimator = probability_estimator
        self._normalize = normalize
        self._script = {
            key: {normalize(phrase): instances for phrase, instances in phrases.items()}
            for key, phrases in script.items()
        }
        self._ids = {
            key: {normalize(phrase): tuple(each) for phrase, each in phrases.items()}
            for key, phrases in (ids or {}).items()
        }

    @classmethod
    def from_video(
        cls, video: Video, masklets: Mapping[str, Masklets], *, normalize: Callable[[str], str] = normalize_phrase
    ) -> "ScriptedBackend":
        """Script a video: each phrase finds its masklets, frame by frame.

        Args:
            video: Its frames are told apart by their content.
            masklets: Phrase -> the objects that it finds, of the video's size and length. Their scores are those of the
                detections.
            normalize: Phrases are compared after this.

        Returns:
            A backend that detects exactly these masks and follows exactly these objects.

        Raises:
            ValueError: Masklets have another length than the video, or two frames with the same content have different
                masks.

        >>> from sam3_tool import Image, Masklet, Sam3
        >>> video = Video.from_images([Image(np.full((4, 6, 3), value, np.uint8)) for value in range(3)])
        >>> ball = Masklet.from_masks([np.eye(4, 6, dtype=bool)] * 3, score=0.9)
        >>> balls = Masklets((ball,), (1,), (4, 6), 3, "ball", np.ones(3, np.float32))
        >>> [found] = Sam3(ScriptedBackend.from_video(video, {"ball": balls})).track_masklets(video, "ball")
        >>> found.masklets[0].rles == ball.rles
        True
        """
        script: dict[str | None, dict[str, Instances]] = {}
        ids: dict[str | None, dict[str, tuple[int, ...]]] = {}
        for frame, image in video.iterate_frames():
            for phrase, objects in masklets.items():
                if objects.length != len(video):
                    raise ValueError(
                        f"masklets for {phrase!r} are of {objects.length} frames, the video has {len(video)}"
                    )
                found = objects.at(frame)
                earlier = script.setdefault(image.key, {}).setdefault(phrase, found)
                if earlier.rles != found.rles:
                    raise ValueError(
                        f"frame {frame} looks like an earlier one, but {phrase!r} has other masks there; make no two"
                        " frames alike"
                    )
                ids.setdefault(image.key, {})[phrase] = objects.ids_at(frame)
        return cls(script, normalize=normalize, ids=ids)

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

    def detect(self, embeddings: Sequence[ScriptedEmbedding], prompts: Sequence[ConceptPrompt]) -> list[Detections]:
        """Return what `decode` finds, as logits of the image's size. See `VideoBackend.detect`.

        Args:
            embeddings: What `encode` gave, one per prompt.
            prompts: As many as embeddings.

        Returns:
            The detections of each prompt.

        Raises:
            ValueError: The scripted masks have another size than the image.
        """
        return [
            Detections(_to_logits(found.masks), found.scores, found.boxes, found.presence)
            for found in self.decode(embeddings, prompts)
        ]

    def open_memory(self, height: int, width: int, length: int) -> ObjectMemory:
        """Make a memory that follows scripted objects. See `VideoBackend.open_memory`.

        Args:
            height: Height of the video in pixels.
            width: Width of the video in pixels.
            length: Number of its frames.

        Returns:
            A memory without objects.
        """
        return ScriptedMemory(self._list_objects)

    def upsample_masks(self, logits: np.ndarray, height: int, width: int) -> list[RleMask]:
        """Cut logits at 0: a script's are of the image's size. See `VideoBackend.upsample_masks`.

        Args:
            logits: float32, (N, height, width).
            height: Height of the image in pixels.
            width: Width of the image in pixels.

        Returns:
            One mask per row.
        """
        return encode_masks(logits.reshape(len(logits), height, width) > 0)

    def _list_objects(self, embedding: ScriptedEmbedding) -> dict[ScriptedObject, np.ndarray]:
        """Return every object that is scripted for an image.

        Args:
            embedding: What `encode` gave for it.

        Returns:
            Object -> mask, bool (height, width).

        Raises:
            ValueError: The scripted masks have another size than the image.
        """
        ids = self._ids.get(embedding.key, {})
        objects: dict[ScriptedObject, np.ndarray] = {}
        for phrase, instances in self._get_scripted(embedding).items():
            _check_size(instances, embedding, phrase)
            numbers = ids.get(phrase, range(len(instances)))
            objects |= {(phrase, number): mask for number, mask in zip(numbers, instances.masks, strict=True)}
        return objects

    def segment_points(self, embedding: ScriptedEmbedding, prompt: PointsPrompt) -> Instances:
        """Return the scripted masks that lie under each point. See `Backend`.

        Args:
            embedding: What `encode` gave.
            prompt: Many points.

        Returns:
            The masks, each with the score 1, as often as points lie on it.
        """
        found = [self._refine_prompt(embedding, VisualPrompt(points=((x, y),))) for x, y in prompt.points.tolist()]
        size = (embedding.height, embedding.width)
        rles = [mask for candidates in found for mask in candidates.rles]
        boxes = np.concatenate([candidates.boxes for candidates in found])
        scores = np.ones(len(rles), np.float32)
        return Instances.from_rles(rles, size, boxes=boxes, scores=scores, presence=float(bool(rles)), phrase="")

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


class ScriptedMemory:
    """A memory that follows scripted objects. It takes a mask for the object whose own mask agrees best with it."""

    def __init__(self, list_objects: Callable[[ScriptedEmbedding], dict[ScriptedObject, np.ndarray]]) -> None:
        self._list_objects = list_objects
        self._known: dict[int, ScriptedObject | None] = {}
        """Id -> who it is; None for a mask that is nobody's."""

    @property
    def ids(self) -> tuple[int, ...]:
        return tuple(self._known)

    @property
    def nbytes(self) -> int:
        return 0

    def propagate(
        self, embedding: ScriptedEmbedding, frame: int, *, reverse: bool = False, remember: bool = True
    ) -> LowMasks:
        """Return the scripted mask of every object. See `ObjectMemory.propagate`."""
        objects = self._list_objects(embedding)
        return self._build_masks(self.ids, objects, embedding)

    def remember(
        self,
        embedding: ScriptedEmbedding,
        frame: int,
        ids: Sequence[int],
        logits: np.ndarray,
        *,
        groups: Sequence[int] | None = None,
        conditioning: Sequence[int] = (),
    ) -> None:
        """Do nothing: a script knows all frames. See `ObjectMemory.remember`."""

    def begin(self, embedding: ScriptedEmbedding, frame: int, ids: Sequence[int], logits: np.ndarray) -> np.ndarray:
        """Find out whose masks these are. See `ObjectMemory.begin`."""
        objects = self._list_objects(embedding)
        for id, mask in zip(ids, logits > 0, strict=True):
            self._known[id] = _find_nearest(objects, VisualPrompt(mask=mask))
        return logits

    def prompt(self, embedding: ScriptedEmbedding, frame: int, object_id: int, prompt: VisualPrompt) -> LowMasks:
        """Choose the scripted object that agrees best with a prompt. See `ObjectMemory.prompt`."""
        objects = self._list_objects(embedding)
        self._known[object_id] = _find_nearest(objects, prompt)
        return self._build_masks((object_id,), objects, embedding)

    def forget(self, ids: Sequence[int]) -> None:
        """Follow these objects no longer. See `ObjectMemory.forget`."""
        for id in ids:
            self._known.pop(id, None)

    def _build_masks(
        self, ids: tuple[int, ...], objects: Mapping[ScriptedObject, np.ndarray], embedding: ScriptedEmbedding
    ) -> LowMasks:
        nothing = np.zeros((embedding.height, embedding.width), bool)
        known = [self._known[id] for id in ids]
        masks = [nothing if each is None else objects.get(each, nothing) for each in known]
        seen = np.array([mask.any() for mask in masks], bool)
        return LowMasks(
            ids,
            _to_logits(np.array(masks, bool).reshape(-1, *nothing.shape)),
            np.where(seen, INSIDE, OUTSIDE).astype(np.float32),
            seen.astype(np.float32),
        )


def _to_logits(masks: np.ndarray) -> np.ndarray:
    """Return float32 logits of the same shape: `INSIDE` where a mask is, `OUTSIDE` elsewhere."""
    return np.where(masks, INSIDE, OUTSIDE).astype(np.float32)


def _find_nearest(objects: Mapping[ScriptedObject, np.ndarray], prompt: VisualPrompt) -> ScriptedObject | None:
    """Return the object that agrees best with a prompt, and at least by half."""
    if not objects:
        return None
    agreement = _compute_agreement(np.array(list(objects.values()), bool), prompt)
    best = int(agreement.argmax())
    return list(objects)[best] if agreement[best] >= 0.5 else None


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
