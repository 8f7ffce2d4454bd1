"""What every backend of SAM 3 can do: the real network, a recording, or a script that needs no weights."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from sam3_tool.errors import CheckpointError

if TYPE_CHECKING:  # whoever only wants the errors should not wait for NumPy
    import numpy as np

    from sam3_tool.concepts.concept import Concept
    from sam3_tool.image import Image
    from sam3_tool.instances import Instances
    from sam3_tool.masks.rle import RleMask
    from sam3_tool.prompts import ConceptPrompt, PointsPrompt, VisualPrompt


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
    - `device_name: str`, e.g. "NVIDIA H200", for speeds that are told later.
    - `fingerprint: str`, which tells its weights from all others; `Sam3.load(…, cache=…)` needs it.
    - `is_on_gpu: bool`: its embeddings are then `sam3_tool.backends.embeddings.MovableEmbedding`.
    - `segment_points(embedding, prompt: PointsPrompt) -> Instances`, for `Sam3.segment_everything`: of the candidates
      under each point, in the order of the points, those that are good enough. `point_thresholds: tuple[float, float]`
      are its defaults of `min_score` and `min_stability`. `points_at_once: int`: points that share a pass; it is
      asked for no more in one call, so that the search can be given up between two calls. Left out, all in one.
    - `Instances.cost` of what it returns, where answers are paid for: runs and reports add it up.
    - `probability_estimator: ProbabilityEstimator | None`, and `calibration_fault: str`, which says why one that is
      there is not used.
    - `interrupt()`: ends what is under way, where waiting for it may take long; called when nobody reads answers.
    - `describe_examples(embedding, prompt) -> Concept`, for `Sam3.describe`: see `ConceptBackend`.
    - `pool_embedding(embedding) -> np.ndarray`, float32 (C,), for `Sam3.pool_features`.
    - `find_unknown_words(phrase) -> Sequence[str]`, for `Sam3.find_unknown_words`.
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


@runtime_checkable
class ConceptBackend(Backend, Protocol):
    """A backend that can tell what it reads of examples, and look for that in other images.

    `describe_examples` may be called by any thread, while another one is served.

    >>> from sam3_tool import Sam3, ScriptedBackend
    >>> isinstance(ScriptedBackend({}), ConceptBackend)
    False
    """

    def describe_examples(self, embedding: Any, prompt: "ConceptPrompt") -> "Concept":
        """Describe what the boxes of a prompt show, for prompts with that `concept`.

        Args:
            embedding: What `encode` gave for the image that the boxes lie in.
            prompt: With boxes, and perhaps a phrase.

        Returns:
            The concept, with the fingerprint of these weights.
        """
        ...


@dataclass(frozen=True, eq=False)
class Detections:
    """What the detector finds in one image for one prompt, before masks have the image's size.

    `decode` enlarges the very same logits, so that a frame of a video is found as it would be as an image.

    >>> from sam3_tool import ConceptPrompt, Image
    >>> from sam3_tool.backends.loading import load_backend
    >>> from sam3_tool.synthetic.scenes import draw_scene
    >>> tiny = load_backend("tiny", device="cpu", dtype="auto", compile=None)
    >>> [embedding] = tiny.encode([Image(draw_scene(6).pixels)])
    >>> [found] = tiny.detect([embedding], [ConceptPrompt("object")])
    >>> len(found.logits) == len(found.scores) == len(found.boxes)
    True
    """

    logits: "np.ndarray"
    """float32, (N, h, w): mask logits; above 0 is inside."""
    scores: "np.ndarray"
    """float32, (N,), in [0, 1], strictly above the prompt's threshold, best first."""
    boxes: "np.ndarray"
    """float32, (N, 4), x0 y0 x1 y1 in pixels: the detector's."""
    presence: float
    """In [0, 1]: how sure SAM 3 is that the concept is in the image at all."""

    def __getitem__(self, rows: "np.ndarray") -> "Detections":
        """Return those at these indices."""
        return Detections(self.logits[rows], self.scores[rows], self.boxes[rows], self.presence)


@dataclass(frozen=True, eq=False)
class LowMasks:
    """Objects on one frame of a video, as the network sees them: small, and before anything is decided about them.

    >>> import numpy as np
    >>> LowMasks((3,), np.full((1, 4, 4), -1024, np.float32), np.zeros(1, np.float32), np.zeros(1, np.float32)).ids
    (3,)
    """

    ids: tuple[int, ...]
    """Of K objects."""
    logits: "np.ndarray"
    """float32, (K, h, w): mask logits; -1024 everywhere where an object is not on the frame."""
    presences: "np.ndarray"
    """float32, (K,): logits; above 0 an object is on the frame."""
    scores: "np.ndarray"
    """float32, (K,), in [0, 1]: predicted IoU of the masks; 1 for a mask that was given."""


class ObjectMemory(Protocol):
    """What a backend remembers of the objects of one video. Its size does not grow with the video.

    Objects are known by ids that the caller chooses. A frame with a prompt is a conditioning frame of its object; later
    frames are compared with it however far away it is. Of other frames only the latest are remembered.

    >>> from sam3_tool import ScriptedBackend
    >>> memory: ObjectMemory = ScriptedBackend({}).open_memory(height=4, width=6, length=10)
    >>> memory.ids
    ()
    """

    @property
    def ids(self) -> tuple[int, ...]:
        """The objects, in the order in which they came."""
        ...

    @property
    def nbytes(self) -> int:
        """Memory that it takes, in bytes."""
        ...

    def prompt(self, embedding: Any, frame: int, object_id: int, prompt: "VisualPrompt") -> LowMasks:
        """Show one object by clicks, a box or a mask, or correct it.

        What is known of the object on this frame goes in with clicks; what is known of other frames does not. A mask
        alone is taken for the answer.

        Args:
            embedding: What `encode` gave for the frame.
            frame: Its number, from 0.
            object_id: A new object, or one that is corrected.
            prompt: All clicks on this frame; `multimask` and `fill_holes` do not count.

        Returns:
            The one object.
        """
        ...

    def begin(self, embedding: Any, frame: int, ids: Sequence[int], logits: "np.ndarray") -> "np.ndarray":
        """Take masks that were found by other means for the answer, of new objects or of those that are followed.

        Args:
            embedding: What `encode` gave for the frame.
            frame: Its number, from 0.
            ids: K objects.
            logits: float32, (K, h, w).

        Returns:
            float32, (K, h, w): the masks as they were taken, these or finer ones.
        """
        ...

    def propagate(self, embedding: Any, frame: int, *, reverse: bool = False, remember: bool = True) -> LowMasks:
        """Find all objects on a frame, by what is known of frames before it (and of any conditioning frame).

        Args:
            embedding: What `encode` gave for the frame.
            frame: Its number, from 0.
            reverse: Whether frames come in descending order.
            remember: Whether what was found is remembered at once; otherwise `remember` does it.

        Returns:
            All objects, in the order of `ids`. Where an object was prompted on this frame, that is its answer.
        """
        ...

    def remember(
        self,
        embedding: Any,
        frame: int,
        ids: Sequence[int],
        logits: "np.ndarray",
        *,
        groups: Sequence[int] | None = None,
        conditioning: Sequence[int] = (),
    ) -> None:
        """Remember objects on a frame for which `propagate` was asked, with masks that somebody has worked on.

        An object that others of its group cover for the most part is remembered as absent.

        Args:
            embedding: What `encode` gave for the frame.
            frame: Its number, from 0.
            ids: K objects.
            logits: float32, (K, h, w).
            groups: One number per object; left out, all belong together.
            conditioning: Those of the objects for which this becomes a conditioning frame.
        """
        ...

    def forget(self, ids: Sequence[int]) -> None:
        """Forget objects.

        Args:
            ids: Objects; unknown ones are ignored.
        """
        ...


@runtime_checkable
class VideoBackend(Backend, Protocol):
    """A backend that can follow objects through a video. Threads may share it, each with a memory of its own.

    >>> from sam3_tool import ScriptedBackend
    >>> isinstance(ScriptedBackend({}), VideoBackend)
    True
    """

    def open_memory(self, height: int, width: int, length: int) -> ObjectMemory:
        """Make room for the objects of one video.

        Args:
            height: Height of the video in pixels.
            width: Width of the video in pixels.
            length: Number of its frames.

        Returns:
            A memory without objects.

        Raises:
            CheckpointError: These weights cannot follow objects.
        """
        ...

    def detect(self, embeddings: Sequence[Any], prompts: "Sequence[ConceptPrompt]") -> list[Detections]:
        """Find what `decode` finds, without masks of the image's size.

        Args:
            embeddings: As for `decode`.
            prompts: As many as embeddings.

        Returns:
            The detections of each prompt.
        """
        ...

    def upsample_masks(self, logits: "np.ndarray", height: int, width: int) -> "list[RleMask]":
        """Turn mask logits into masks at the video's own size, as `decode` does it for images.

        Args:
            logits: float32, (K, h, w).
            height: Height of the video in pixels.
            width: Width of the video in pixels.

        Returns:
            One mask per row.
        """
        ...


def require_video(backend: Backend) -> VideoBackend:
    """Return the backend itself.

    Raises CheckpointError, in one sentence, if it cannot follow objects.
    """
    if not isinstance(backend, VideoBackend):
        raise CheckpointError(
            f"SAM 3 backend {backend.name!r} cannot follow objects through a video; take one that can"
        )
    return backend


def require_points(backend: Backend) -> "Callable[[Any, PointsPrompt], Instances]":
    """Return the backend's `segment_points`.

    Raises CheckpointError, in one sentence, if it has none.
    """
    segment_points: Callable[[Any, PointsPrompt], Instances] | None = getattr(backend, "segment_points", None)
    if segment_points is None:
        raise CheckpointError(
            f"the SAM 3 backend {backend.name!r} cannot segment everything; load the weights without a recording and"
            " without a cache"
        )
    return segment_points


def require_concepts(backend: Backend) -> ConceptBackend:
    """Return the backend itself.

    Raises CheckpointError, in one sentence, if it cannot describe examples apart from their image.
    """
    if not isinstance(backend, ConceptBackend):
        raise CheckpointError(
            f"SAM 3 backend {backend.name!r} cannot keep examples as a concept; give it the boxes themselves, or load"
            " weights of SAM 3"
        )
    return backend
