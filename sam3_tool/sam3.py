"""`Sam3`: the segmenter that an agent holds."""

import copy
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from threading import Event, Thread
from typing import Any, TypeVar

import numpy as np

from sam3_tool.backends.base import Backend, require_concepts, require_points, require_video
from sam3_tool.backends.loading import load_backend
from sam3_tool.backends.recording.cache import CachingBackend
from sam3_tool.backends.recording.record import RecordingBackend
from sam3_tool.backends.recording.replay import ReplayingBackend
from sam3_tool.batching.batcher import Batcher, BatchLimits, BatchRun
from sam3_tool.batching.calls import Ticket
from sam3_tool.concepts.concept import MAX_EXAMPLES, Concept
from sam3_tool.costs import NO_COST, CallCost
from sam3_tool.errors import CheckpointError
from sam3_tool.image import Image
from sam3_tool.instances import Instances
from sam3_tool.phrases import normalize_phrase
from sam3_tool.probability import ProbabilityEstimator, PromptKind
from sam3_tool.prompts import (
    PUBLISHED_THRESHOLDS,
    Box,
    ConceptPrompt,
    FramePrompt,
    Point,
    PointsPrompt,
    Prompt,
    VisualPrompt,
    collect_exemplars,
)
from sam3_tool.service import (
    AnyRequest,
    EmbeddingPrompt,
    SegmentationRequest,
    SegmentationServer,
    Served,
    ServedEmbedding,
    ServedRequest,
    group_by_image,
    list_needed_images,
)
from sam3_tool.tracking.frames import TrackedFrame, collect_masklets
from sam3_tool.tracking.rules import TrackingRules
from sam3_tool.tracking.session import TrackingSession
from sam3_tool.tracking.streaming import TrackingPrompt, TrackingRun, get_phrases
from sam3_tool.video.masklets import Masklets
from sam3_tool.video.video import Video

AnyPrompt = TypeVar("AnyPrompt", bound=Prompt)
MAX_BATCH = 8
CACHE_BYTES = 512 * 2**20
"""Room for 8 images of facebook/sam3 in bf16, or for 180 of the embedded checkpoint."""
FUNCTION_VERSION = "2"
"""Goes up whenever the same weights answer otherwise than before, so that no cache serves what older code found."""
GPU_BYTES = HOST_BYTES = 8 * CACHE_BYTES
"""Room for 64 images of facebook/sam3 on a GPU and for 64 more in the host's memory, which even a laptop has
(pinned memory may be taken in powers of 2: up to twice as much). One that comes back is a copy of 63 MiB, a few
milliseconds of a bus; to encode it again would be 5.6 TFLOP."""


@dataclass(frozen=True, eq=False)
class SegmentationReport:
    """What a call of `Sam3` found, and what it cost.

    >>> from sam3_tool import ConceptPrompt, Image, Sam3, ScriptedBackend
    >>> image = Image(np.zeros((48, 64, 3), np.uint8))
    >>> report = Sam3(ScriptedBackend({})).run_requests([(image, ConceptPrompt("cup")), (image, ConceptPrompt("hat"))])
    >>> len(report.instances), report.encodes, report.decodes
    (2, 1, 2)
    """

    instances: list[Instances]
    """One per request, in order."""
    encodes: int
    """Images that this call sent through the vision encoder; the others were remembered, or another call's."""
    decodes: int
    """Prompts that went through the detector, or through the tracker."""
    cost: CallCost = NO_COST
    """What was paid for, at a hosted SAM 3."""


@dataclass(frozen=True)
class BatchReport:
    """What a batch of requests took, for whoever measures a service. A batch that fails is reported, too.

    >>> from sam3_tool import Image, Sam3, ScriptedBackend
    >>> reports = []
    >>> _ = Sam3(ScriptedBackend({}), on_batch=reports.append).segment(Image(np.zeros((48, 64, 3), np.uint8)), "cup")
    >>> [(report.size, report.images, report.encodes, report.waiting) for report in reports]
    [(1, 1, 1, 0)]
    """

    size: int
    """Requests that were served together."""
    images: int
    """Images that they were about."""
    encodes: int
    """Images that went through the vision encoder; the others were remembered."""
    seconds: float
    """How long the network ran."""
    waited: float
    """Seconds that its oldest call had waited when it began."""
    waiting: int
    """Requests that waited when it ended."""
    cache_bytes: int
    """Bytes of the embeddings that are kept, on a GPU in its memory."""
    failed: bool
    """Whether it raised an error. If several calls shared it, each is then served alone, which is a batch again."""


class Sam3:
    """Find every instance of a concept in any number of images at once, and one object by clicks.

    An image is encoded on its first request. Its embedding is kept under the image's content: to ask again, by phrase
    or by click, costs only the decoder. Objects of this class may be shared between threads: concurrent calls are
    served together.

    Args:
        backend: Where SAM 3 runs. `Sam3.load` makes one from a name.
        max_batch: Requests that are served together, at most.
        cache_bytes: Room for embeddings, on a GPU in its memory. The least recently used ones leave first.
        host_bytes: Room in the host's memory for what leaves a GPU; from there it is copied back.
        max_waiting: Requests that may wait; a call that would make them more is refused, unless nothing waits.
            Default: no limit.
        max_encode: Images that are encoded together, at most, for they take more memory than prompts. Prompts about
            images that are remembered do not count. Default: no limit beside `max_batch`.
        on_batch: Is told of each batch, in the thread that runs batches. What it raises is logged.

    >>> from sam3_tool import Image, Sam3
    >>> from sam3_tool.synthetic.scenes import draw_scene
    >>> image = Image(draw_scene(6).pixels)
    >>> sam3 = Sam3.load("tiny")
    >>> found = sam3.segment(image, "object")
    >>> found.masks.shape == (len(found), image.height, image.width)
    True
    >>> best = sam3.refine(image, points=[(80, 60)])[[0]]  # the best of three candidates
    >>> best.masks.shape == (1, image.height, image.width)
    True
    """

    def __init__(
        self,
        backend: Backend,
        *,
        max_batch: int = MAX_BATCH,
        cache_bytes: int = CACHE_BYTES,
        host_bytes: int = 0,
        max_waiting: int | None = None,
        max_encode: int | None = None,
        on_batch: Callable[[BatchReport], None] | None = None,
    ) -> None:
        self._backend = backend
        self._ticket = Ticket()
        self._concepts: Mapping[str, Concept] = {}
        self._server = server = SegmentationServer(backend, cache_bytes, host_bytes)
        limits = BatchLimits[AnyRequest](
            max_size=max_batch,
            max_waiting=max_waiting,
            max_new=max_encode,
            list_needs=list_needed_images,
            is_ready=server.is_encoded,
        )
        report = None if on_batch is None else partial(_report_batch, server, on_batch)
        self._batcher: Batcher[AnyRequest, Served] = Batcher(
            server.serve, limits, on_batch=report, interrupt=getattr(backend, "interrupt", None)
        )

    @classmethod
    def load(
        cls,
        name_or_path: str | Path,
        *,
        device: str = "auto",
        dtype: str = "auto",
        record: str | Path | None = None,
        cache: str | Path | None = None,
        max_batch: int = MAX_BATCH,
        compile: str | None = None,
        max_waiting: int | None = None,
        max_encode: int | None = None,
        on_batch: Callable[[BatchReport], None] | None = None,
    ) -> "Sam3":
        """Load SAM 3 by name. A network that is in use already is shared: two of them take the memory of one.

        Args:
            name_or_path: A name that `sam3-agent models` lists ("tiny" is embedded, "open" needs no access), a folder
                in transformers' format, an official `.pt` file, or "NAME:WEIGHTS" for an installed backend of that
                name (entry points `sam3_agent.backends`).
            device: "cpu", "cuda", "cuda:1", "mps" …; "auto" takes CUDA, else a GPU of Apple's, where there is one.
            dtype: "float32", "bfloat16" or "float16"; "auto" is bfloat16 on GPUs and, for large networks, on CPUs
                with units for it; else float32.
            record: A folder that gets every call, for `Sam3.replay`.
            cache: A folder that remembers every answer, for whoever asks the same of the same weights.
            max_batch: 1 makes answers independent, to the last bit, of what else is asked at the same time.
            compile: "default", "reduce-overhead" (CUDA graphs) or "max-autotune" have PyTorch compile the network
                with a C++ compiler. That takes minutes of the first answers; on a CPU it gains 7 % of an encode.
            max_waiting: Requests that may wait; see `Sam3`.
            max_encode: Images that are encoded together; see `Sam3`.
            on_batch: Is told of each batch; see `Sam3`.

        Returns:
            A segmenter with these weights.

        Raises:
            CheckpointError: The checkpoint is missing, may not be read, or is not a SAM 3.
            DeviceError: The device or the compiler is missing, or its memory is too small.
            ValueError: `dtype` or `compile` is none of the values above.

        >>> Sam3.load("tiny").name
        'tiny'
        """
        network = load_backend(name_or_path, device=device, dtype=dtype, compile=compile)
        backend, cache_bytes, host_bytes = _keep_answers(network, cache=cache, record=record)
        return cls(
            backend,
            max_batch=max_batch,
            cache_bytes=cache_bytes,
            host_bytes=host_bytes,
            max_waiting=max_waiting,
            max_encode=max_encode,
            on_batch=on_batch,
        )

    @classmethod
    def replay(cls, folder: str | Path) -> "Sam3":
        """Answer from a recording. No checkpoint and no GPU is needed.

        Args:
            folder: What `Sam3.load(…, record=folder)` has written.

        Returns:
            A segmenter that repeats the recorded answers bit for bit. It raises `CheckpointError` for a question that
            was not asked when the recording was made.

        Raises:
            CheckpointError: The folder holds no recording.

        >>> import tempfile
        >>> from sam3_tool import Image, Sam3, ScriptedBackend
        >>> from sam3_tool.backends.recording.record import RecordingBackend
        >>> folder, image = tempfile.mkdtemp(), Image(np.zeros((48, 64, 3), np.uint8))
        >>> asked = Sam3(RecordingBackend(ScriptedBackend({}), folder)).segment(image, "cup")
        >>> len(Sam3.replay(folder).segment(image, "cup"))
        0
        """
        return cls(ReplayingBackend(folder))

    @property
    def name(self) -> str:
        """Which weights answer, for headers and reports: 'tiny', 'facebook/sam3', 'scripted'."""
        return self._backend.name

    @property
    def runs_on(self) -> str:
        """Device and number format, e.g. 'cpu float32'; empty where there is no network."""
        return str(getattr(self._backend, "runs_on", ""))

    @property
    def device_name(self) -> str:
        """What the device is called, e.g. 'NVIDIA H200'; `runs_on`, which may be empty, where the backend does not say.

        >>> from sam3_tool import ScriptedBackend
        >>> Sam3(ScriptedBackend({})).device_name
        ''
        """
        return str(getattr(self._backend, "device_name", "")) or self.runs_on

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the weights in hexadecimal; empty where there is no network. Large weights take seconds."""
        return str(getattr(self._backend, "fingerprint", ""))

    @property
    def probability_estimator(self) -> ProbabilityEstimator | None:
        """How likely masks are right, as it was fitted for these weights; None where nobody has fitted it."""
        estimator: ProbabilityEstimator | None = getattr(self._backend, "probability_estimator", None)
        return estimator

    @property
    def calibration_fault(self) -> str:
        """Why a calibration that is there is not used: it was fitted for other weights. Empty where none is amiss."""
        return str(getattr(self._backend, "calibration_fault", ""))

    def estimate_probabilities(self, found: Instances, prompt: Prompt) -> np.ndarray | None:
        """Estimate how likely masks are right: that their IoU with an object that was asked for is above 0.5.

        Args:
            found: Masks that these weights found.
            prompt: What they were found by.

        Returns:
            float64, (N,), in [0, 1]; None where these weights are not calibrated for such prompts. Named concepts, and
            examples in other images, never are.

        >>> from sam3_tool import ConceptPrompt, Image, Sam3
        >>> from sam3_tool.synthetic.scenes import draw_scene
        >>> sam3 = Sam3.load("tiny")
        >>> found = sam3.segment(Image(draw_scene(6).pixels), "object")
        >>> len(sam3.estimate_probabilities(found, ConceptPrompt("object"))) == len(found)
        True
        """
        estimator, kind = self.probability_estimator, _find_prompt_kind(self._resolve_concept(prompt))
        if estimator is None or kind is None:
            return None
        height, width = found.size
        presences = np.full(len(found), found.presence)
        return estimator.estimate(kind, found.scores, presences, found.areas / (height * width))

    def for_caller(
        self, name: str, *, is_batch: bool = False, deadline: float | None = None, cancel: Event | None = None
    ) -> "Sam3":
        """Return the same segmenter for one of several callers, who take turns.

        What it computes belongs to that caller, whatever is asked of it: a caller with much to ask does not hold up
        one with little. Weights, remembered images and the line are shared with all others.

        Args:
            name: Who asks. Segmenters with the same name take turns as one; calls without a name are each their own.
            is_batch: Whether nobody sits and waits: such calls get one request in four while others wait.
            deadline: In seconds of `time.monotonic()`. What has not begun by then raises DeadlineError.
            cancel: Once it is set, what has not begun raises RequestCancelledError.

        Returns:
            A segmenter of that caller.

        >>> sam3 = Sam3.load("tiny").for_caller("alice")
        >>> len(sam3.segment(Image(np.zeros((48, 64, 3), np.uint8)), "cup"))
        0
        """
        view = copy.copy(self)
        view._ticket = Ticket(name, is_batch, deadline, cancel)
        return view

    def with_concepts(self, concepts: Mapping[str, Concept]) -> "Sam3":
        """Return the same segmenter, which looks for a concept wherever it is asked for a phrase of that name.

        Whoever plans need not know: an agent that asks for "cup" gets what the examples of "cup" find. Prompts with
        boxes stay as they are.

        Args:
            concepts: Noun phrase -> what is looked for in its place. Phrases are compared in lower case.

        Returns:
            A segmenter with these concepts, and no others.

        Raises:
            CheckpointError: The backend cannot look for concepts.

        >>> from sam3_tool import Image, Sam3
        >>> from sam3_tool.synthetic.scenes import draw_scene
        >>> scene, sam3 = draw_scene(6), Sam3.load("tiny")
        >>> image = Image(scene.pixels)
        >>> concept = sam3.describe(image, boxes=[tuple(scene.boxes[0].tolist())])
        >>> found = sam3.with_concepts({"thingamajig": concept}).segment(image, "thingamajig")
        >>> found.phrase, len(found) > 0
        ('thingamajig', True)
        """
        if concepts:
            require_concepts(self._backend)
        view = copy.copy(self)
        view._concepts = {normalize_phrase(name): concept for name, concept in concepts.items()}
        return view

    def _resolve_concept(self, prompt: AnyPrompt) -> AnyPrompt:
        """Put a named concept into a prompt for its name. Raises CheckpointError if the backend knows no concepts."""
        if not isinstance(prompt, ConceptPrompt):
            return prompt
        if prompt.concept is None and not prompt.boxes:
            concept = self._concepts.get(normalize_phrase(prompt.phrase or ""))
            return prompt if concept is None else replace(prompt, concept=concept)
        if prompt.concept is not None:
            require_concepts(self._backend)
        return prompt

    @property
    def waiting(self) -> int:
        """Requests of all callers that wait now."""
        return self._batcher.waiting

    def close(self) -> None:
        """End the thread that serves requests. What waits, and what is asked later, raises RuntimeError.

        Nobody needs to call it: a segmenter that is no longer used ends by itself.

        >>> from sam3_tool import ScriptedBackend
        >>> Sam3(ScriptedBackend({})).close()
        """
        self._batcher.close()

    def segment(
        self,
        image: Image,
        phrase: str | Concept | None = None,
        *,
        boxes: Sequence[Box] = (),
        box_labels: Sequence[int] = (),
        masks: Sequence[np.ndarray] = (),
        mask_labels: Sequence[int] = (),
        threshold: float = 0.5,
        exemplar_image: Image | None = None,
    ) -> Instances:
        """Segment every instance of a concept: of a noun phrase, of what examples show, or of both.

        Args:
            image: The image to search.
            phrase: A short English noun phrase, e.g. "striped cup", optional if there are examples; or a concept that
                `describe` made or `Concept.load` read.
            boxes: Exemplars, x0 y0 x1 y1 in pixels of `exemplar_image` (default: of `image`).
            box_labels: 1 = like this, 0 = not like this, one per box. Default: all 1.
            masks: Exemplars, each bool, (height, width) of `exemplar_image` (default: of `image`). The box around a
                mask is what SAM 3 reads; it was published without weights for an exemplar's pixels.
            mask_labels: As `box_labels`, one per mask.
            threshold: In [0, 1). Instances that score strictly above it are returned.
            exemplar_image: The image that the examples lie in, if it is not `image`. Its features describe what is in
                the boxes, and that is looked for in `image`; both are encoded once. Experimental: SAM 3 was published
                for exemplars in the same image. `evals.studies.cross_image_exemplars` measures it with the embedded
                checkpoint on generated scenes; look at what other weights make of it before you rely on it.

        Returns:
            The instances, best score first. Ties keep the network's query order.

        Raises:
            ValueError: There is neither phrase nor example, a box has no area, a mask has another size than its image
                or covers nothing, there are not as many labels as examples, a concept stands beside examples, or the
                threshold lies outside [0, 1).
            ConceptError: The concept was made by other weights.

        >>> from sam3_tool import Image, Instances, Sam3, ScriptedBackend
        >>> cup = Instances(np.ones((1, 4, 6), bool), np.array([[0, 0, 6, 4]], np.float32),
        ...                 np.array([0.9], np.float32), 1.0, "cup")
        >>> sam3 = Sam3(ScriptedBackend({None: {"cup": cup}}))
        >>> len(sam3.segment(Image(np.zeros((4, 6, 3), np.uint8)), "cup"))
        1
        """
        exemplars, labels = collect_exemplars(exemplar_image or image, boxes, box_labels, masks, mask_labels)
        words, concept = (None, phrase) if isinstance(phrase, Concept) else (phrase, None)
        prompt = ConceptPrompt(words, exemplars, labels, threshold, exemplar_image, concept)
        return self.segment_batch([(image, prompt)])[0]

    def describe(
        self,
        image: Image,
        phrase: str | None = None,
        *,
        boxes: Sequence[Box] = (),
        box_labels: Sequence[int] = (),
        masks: Sequence[np.ndarray] = (),
        mask_labels: Sequence[int] = (),
    ) -> Concept:
        """Describe what examples show, to look for it in other images, today or later, without the image.

        `segment(other, concept)` then finds exactly what `segment(other, boxes=…, exemplar_image=image)` finds, and is
        as experimental: `docs/how-to/reuse-a-concept.md` has the measured limits.

        Args:
            image: The image that the examples lie in.
            phrase: A short English noun phrase that is to be looked for along with them.
            boxes: Exemplars, x0 y0 x1 y1 in pixels.
            box_labels: 1 = like this, 0 = not like this, one per box. Default: all 1.
            masks: Exemplars, each bool, (height, width). The box around a mask is what SAM 3 reads.
            mask_labels: As `box_labels`, one per mask.

        Returns:
            The concept, which can be saved. `Concept.combine` joins those of several images.

        Raises:
            ValueError: There is no example, or too many, or one of them is wrong as for `segment`.
            CheckpointError: The backend cannot describe examples.

        >>> from sam3_tool import Image, Sam3
        >>> from sam3_tool.synthetic.scenes import draw_scene
        >>> scene, sam3 = draw_scene(6), Sam3.load("tiny")
        >>> concept = sam3.describe(Image(scene.pixels), masks=[scene.masks[0]])
        >>> found = sam3.segment(Image(draw_scene(7).pixels), concept)
        >>> found.masks.ndim
        3
        """
        backend = require_concepts(self._backend)
        exemplars, labels = collect_exemplars(image, boxes, box_labels, masks, mask_labels)
        if not 1 <= len(exemplars) <= MAX_EXAMPLES:
            raise ValueError(f"a concept is made of 1 to {MAX_EXAMPLES} boxes and masks, got {len(exemplars)}")
        prompt = ConceptPrompt(phrase, exemplars, labels)
        [embedding] = self._embed_images([image])
        return backend.describe_examples(embedding, prompt)

    def refine(
        self,
        image: Image,
        points: Sequence[Point] = (),
        labels: Sequence[int] = (),
        *,
        box: Box | None = None,
        mask: np.ndarray | None = None,
        multimask: bool = True,
        fill_holes: bool = False,
        tidy: bool = False,
        mask_side: int | None = None,
    ) -> Instances:
        """Segment the one object that clicks, a box or an earlier mask show.

        Args:
            image: The image to search. After `segment` it is not encoded again.
            points: Clicks, x y in pixels.
            labels: 1 = on the object, 0 = on what does not belong to it, one per point. Default: all 1.
            box: x0 y0 x1 y1 in pixels, around the object.
            mask: bool, (height, width): an answer to be mended, such as the best candidate so far. Give all clicks
                again with it. The network's own numbers of its latest answers are remembered and used with it; a mask
                from elsewhere is turned into such numbers first.
            multimask: True gives three candidates, which suits a single click. False gives the single mask that the
                published notebooks take for several clicks, for a box and for a correction.
            fill_holes: Fill holes of up to 0.3 % of the image, as the published predictor for clicks does it.
            tidy: Leave out candidates that miss a positive click. Of the others, parts without a positive click and
                holes without a negative one go when they have less than 5 % of the mask's pixels.
            mask_side: Pixels. For a quick look: masks of a larger image may come reduced to this long side, with boxes
                in their own pixels. It takes as long for a large image as for a small one.

        Returns:
            Up to three candidates, best first, or one; with `tidy`, perhaps none. `scores` are the predicted IoU,
            `boxes` the extents of the masks, and `presence` says how sure SAM 3 is that there is an object at all.

        Raises:
            ValueError: Nothing is given, a point lies outside the image, or the mask has another size.
            CheckpointError: The checkpoint has no tracker.

        >>> from sam3_tool import Image, Instances, Sam3, ScriptedBackend
        >>> cup = Instances(np.ones((1, 4, 6), bool), np.array([[0, 0, 6, 4]], np.float32),
        ...                 np.array([0.9], np.float32), 1.0, "cup")
        >>> sam3 = Sam3(ScriptedBackend({None: {"cup": cup}}))
        >>> sam3.refine(Image(np.zeros((4, 6, 3), np.uint8)), [(2, 2)]).scores.tolist()
        [1.0]
        """
        clicks = tuple((float(x), float(y)) for x, y in points)
        object_box = None if box is None else (float(box[0]), float(box[1]), float(box[2]), float(box[3]))
        prompt = VisualPrompt(clicks, tuple(map(int, labels)), object_box, mask, multimask, fill_holes, mask_side)
        found = self.segment_batch([(image, prompt)])[0]
        if not tidy:
            return found
        down, across = found.size[0] / image.height, found.size[1] / image.width
        return found.tidy([(x * across, y * down) for x, y in prompt.points], prompt.labels)

    def segment_everything(
        self,
        image: Image,
        *,
        points_per_side: int | None = None,
        min_score: float | None = None,
        min_stability: float | None = None,
        stability_offset: float = 1.0,
        max_box_iou: float = 0.7,
        crop_layers: int = 0,
        min_region_area: int = 0,
    ) -> Instances:
        """Segment everything, without a prompt: the automatic mask generation of SAM, also known as everything mode.

        The tracker is asked for three candidates under each point of a grid. Kept are those with a high predicted IoU
        whose mask is stable; of masks with nearly the same box, the one with the highest score. The defaults are
        those that were published with SAM, but for the embedded checkpoint, which is less sure of its masks.

        Args:
            image: The image. It is encoded once, and so is each crop.
            points_per_side: Points of the grid along each side. Default: 32, or as many as lie 8 pixels apart.
            min_score: In [0, 1): candidates with a predicted IoU strictly above it are kept. Default: 0.88, and 0.75
                for the embedded checkpoint.
            min_stability: In [0, 1]: the IoU of the masks that the logits give when cut at `stability_offset` above
                and below 0 must be at least that. Default: 0.95, and 0.85 for the embedded checkpoint.
            stability_offset: Above 0, in logits.
            max_box_iou: In [0, 1]: of masks whose boxes overlap by more, one is kept.
            crop_layers: How many times the image is also cut up and searched in parts: 1 adds 4 crops, 2 adds 16 more.
                This finds smaller things.
            min_region_area: Pixels; smaller holes are filled, and smaller islands dropped. 0 leaves masks as they are.

        Returns:
            The masks, best score first. `scores` are the predicted IoU, `boxes` the extents of the masks, and
            `presence` says how sure SAM 3 is that there is an object under one of the points.

        Raises:
            ValueError: A number is out of its range.
            CheckpointError: The checkpoint has no tracker, or it is a recording.
            DeadlineError: The deadline given to `for_caller` passed before the last batch of points had begun.
            RequestCancelledError: The caller cancelled it before the last batch of points had begun.

        >>> from sam3_tool import Image, Instances, Sam3, ScriptedBackend
        >>> cup = Instances(np.ones((1, 4, 6), bool), np.array([[0, 0, 6, 4]], np.float32),
        ...                 np.array([0.9], np.float32), 1.0, "cup")
        >>> len(Sam3(ScriptedBackend({None: {"cup": cup}})).segment_everything(Image(np.zeros((4, 6, 3), np.uint8))))
        1
        """
        from sam3_tool.everything.generator import EverythingRules, find_everything

        score, stability = getattr(self._backend, "point_thresholds", PUBLISHED_THRESHOLDS)
        rules = EverythingRules(
            points_per_side=points_per_side,
            min_score=score if min_score is None else min_score,
            min_stability=stability if min_stability is None else min_stability,
            stability_offset=stability_offset,
            max_box_iou=max_box_iou,
            crop_layers=crop_layers,
            min_region_area=min_region_area,
        )
        return find_everything(image, self._segment_points, rules)

    def _segment_points(self, part: Image, prompt: PointsPrompt) -> Instances:
        """Segment under each point, in batches, between which the search can be given up."""
        from sam3_tool.everything.generator import join_instances, split_points

        segment_points = require_points(self._backend)
        [embedding] = self._embed_images([part])
        found: list[Instances] = []
        for batch in split_points(prompt, getattr(self._backend, "points_at_once", None)):
            if (problem := self._ticket.find_problem()) is not None:
                raise problem
            found.append(segment_points(embedding, batch))
        return join_instances(found, part)

    def segment_batch(self, requests: Sequence[SegmentationRequest]) -> list[Instances]:
        """Answer many prompts about many images.

        Args:
            requests: Pairs of an image and a prompt. Every image is encoded once, and its prompts are decoded together.

        Returns:
            One result per request, in order.

        Raises:
            ValueError: A prompt does not fit its image.

        >>> from sam3_tool import ConceptPrompt, Image, Sam3, ScriptedBackend
        >>> image = Image(np.zeros((48, 64, 3), np.uint8))
        >>> [found.phrase for found in Sam3(ScriptedBackend({})).segment_batch([(image, ConceptPrompt("cup"))])]
        ['cup']
        """
        return self.run_requests(requests).instances

    def run_requests(self, requests: Sequence[SegmentationRequest]) -> SegmentationReport:
        """Answer many prompts as `segment_batch` does, and report what that cost.

        Args:
            requests: Pairs of an image and a prompt.

        Returns:
            The results, and how many images were encoded and prompts decoded for them.

        Raises:
            ValueError: A prompt does not fit its image.

        >>> from sam3_tool import Sam3, ScriptedBackend
        >>> Sam3(ScriptedBackend({})).run_requests([]).encodes
        0
        """
        requests = [(image, self._resolve_concept(prompt)) for image, prompt in requests]
        for image, prompt in requests:
            if isinstance(prompt, VisualPrompt):
                prompt.check_fits(image.height, image.width)
        order = group_by_image(requests)
        served = self._batcher([requests[index] for index in order], self._ticket)
        found = {
            index: result for index, result in zip(order, served, strict=True) if isinstance(result, ServedRequest)
        }
        return SegmentationReport(
            instances=[found[index].instances for index in range(len(requests))],
            encodes=sum(result.encoded for result in found.values()),
            decodes=len(found),
            cost=sum((result.instances.cost for result in found.values()), NO_COST),
        )

    def track(
        self,
        video: Video,
        prompts: TrackingPrompt | Sequence[TrackingPrompt],
        *,
        start: int = 0,
        stop: int | None = None,
        reverse: bool = False,
        rules: TrackingRules | None = None,
    ) -> Iterator[TrackedFrame]:
        """Find every instance of concepts in a video, and follow each of them, frame by frame.

        Every frame is encoded once for all prompts, and all objects are decoded together. Prompts do not influence each
        other. Output is held back for `rules.hot_start` frames, because an object that the detector does not confirm is
        taken back; what was yielded stays. Memory grows with the number of objects, not with the length of the video.
        Whoever has seen enough stops iterating, or calls `close` of what is returned.

        Args:
            video: The video to search.
            prompts: A phrase, a `ConceptPrompt`, a `FramePrompt` (boxes that lie in one frame), or several of these. A
                prompt's `threshold` cuts the detections.
            start: First frame, counted from 0.
            stop: The frame to end before. Default: none.
            reverse: Take the frames from the last to the first.
            rules: When objects begin and are taken back. Default: as published.

        Returns:
            An iterator of frames, in the order in which they are taken.

        Raises:
            ValueError: There is no prompt, boxes have no frame, or their frame lies outside `start` to `stop`.
            IndexError: `start` to `stop` lie outside the video.
            CheckpointError: The backend cannot follow objects.

        >>> from sam3_tool import Image, Sam3, ScriptedBackend
        >>> video = Video.from_images([Image(np.zeros((4, 6, 3), np.uint8))] * 3)
        >>> [tracked.frame for tracked in Sam3(ScriptedBackend({})).track(video, ["cup", "hat"])]
        [0, 1, 2]
        """
        several = [prompts] if isinstance(prompts, str | ConceptPrompt | FramePrompt) else prompts
        run = TrackingRun.from_arguments(
            video,
            [self._resolve_tracking(prompt) for prompt in several],
            start=start,
            stop=stop,
            reverse=reverse,
            rules=rules or TrackingRules(),
        )
        return run.stream(require_video(self._backend), self._embed_images)

    def _resolve_tracking(self, prompt: TrackingPrompt) -> TrackingPrompt:
        if isinstance(prompt, FramePrompt):
            return replace(prompt, prompt=self._resolve_concept(prompt.prompt))
        return self._resolve_concept(ConceptPrompt(prompt) if isinstance(prompt, str) else prompt)

    def track_masklets(
        self,
        video: Video,
        prompts: TrackingPrompt | Sequence[TrackingPrompt],
        *,
        start: int = 0,
        stop: int | None = None,
        reverse: bool = False,
        rules: TrackingRules | None = None,
    ) -> list[Masklets]:
        """Find every instance of concepts in a video, as masklets: `track`, and `collect_masklets` of what it yields.

        Args:
            video: The video to search.
            prompts: As for `track`.
            start: First frame, counted from 0.
            stop: The frame to end before. Default: none.
            reverse: Take the frames from the last to the first.
            rules: When objects begin and are taken back. Default: as published.

        Returns:
            One value per prompt, in order, of the length of the whole video.

        Raises:
            ValueError: As `track`.
            IndexError: As `track`.
            CheckpointError: As `track`.

        >>> from sam3_tool import Image, Sam3, ScriptedBackend
        >>> video = Video.from_images([Image(np.zeros((4, 6, 3), np.uint8))] * 3)
        >>> [len(found) for found in Sam3(ScriptedBackend({})).track_masklets(video, ["cup", "hat"])]
        [0, 0]
        """
        frames = self.track(video, prompts, start=start, stop=stop, reverse=reverse, rules=rules)
        return collect_masklets(frames, video, get_phrases(prompts))

    def open_tracking(self, video: Video, *, rules: TrackingRules | None = None) -> TrackingSession:
        """Begin to follow objects that clicks, boxes or masks show, through a video.

        Args:
            video: The video that they are in.
            rules: Only `hole_area` counts. Default: as published.

        Returns:
            A session without objects.

        Raises:
            CheckpointError: The weights cannot follow objects.

        >>> from sam3_tool import Image, Sam3, ScriptedBackend
        >>> video = Video.from_images([Image(np.zeros((4, 6, 3), np.uint8))])
        >>> Sam3(ScriptedBackend({})).open_tracking(video).ids
        ()
        """
        return TrackingSession(video, require_video(self._backend), self._embed_images, rules=rules or TrackingRules())

    def _embed_images(self, images: Sequence[Image]) -> list[Any]:
        """Return the images' embeddings, encoded now or remembered."""
        served = self._batcher([(image, EmbeddingPrompt()) for image in images], self._ticket)
        return [result.embedding for result in served if isinstance(result, ServedEmbedding)]

    def pool_features(self, image: Image) -> np.ndarray | None:
        """Describe an image as a whole, to be compared with others: the mean of what the vision encoder makes of it.

        Args:
            image: Any image.

        Returns:
            float32, (C,); None where the backend does not tell. Only vectors of the same weights can be compared.

        >>> from sam3_tool import Image, Sam3, ScriptedBackend
        >>> image = Image(np.zeros((48, 64, 3), np.uint8))
        >>> Sam3.load("tiny").pool_features(image).ndim, Sam3(ScriptedBackend({})).pool_features(image)
        (1, None)
        """
        pool_embedding = getattr(self._backend, "pool_embedding", None)
        if pool_embedding is None:
            return None
        [embedding] = self._embed_images([image])
        features: np.ndarray = pool_embedding(embedding)
        return features

    def find_unknown_words(self, phrase: str) -> tuple[str, ...]:
        """Find the words of a phrase that these weights have never read.

        Args:
            phrase: A phrase that SAM 3 may be asked for.

        Returns:
            The words as written; () where any word may be known.

        >>> Sam3.load("tiny").find_unknown_words("red giraffe")
        ('giraffe',)
        """
        find_words = getattr(self._backend, "find_unknown_words", None)
        return () if find_words is None else tuple(find_words(phrase))

    def prefetch(self, image: Image) -> None:
        """Begin to encode the image, and return at once.

        Whoever asks a moment later finds it encoded. The first question about the image still counts as the one that
        made it be encoded. Nothing is raised here: whatever is wrong, that question will say.

        Args:
            image: The image that somebody will ask about.

        >>> from sam3_tool import Image, Sam3, ScriptedBackend
        >>> Sam3(ScriptedBackend({})).prefetch(Image(np.zeros((48, 64, 3), np.uint8)))
        """
        Thread(target=self._encode_quietly, args=(image,), daemon=True).start()

    def is_encoded(self, image: Image) -> bool:
        """Say whether a question about the image would be answered without encoding it first.

        Args:
            image: The image.

        Returns:
            True while its embedding is remembered.

        >>> from sam3_tool import Image, Sam3, ScriptedBackend
        >>> sam3, image = Sam3(ScriptedBackend({None: {}})), Image(np.zeros((48, 64, 3), np.uint8))
        >>> before, found, after = sam3.is_encoded(image), sam3.segment(image, "cup"), sam3.is_encoded(image)
        >>> before, after
        (False, True)
        """
        return self._server.is_encoded(image.key)

    def _encode_quietly(self, image: Image) -> None:
        with suppress(Exception):
            self._batcher([(image, None)], self._ticket)

    def vocabulary_warning(self, phrase: str) -> str:
        """Say what a user should know before trusting an answer about a phrase.

        Args:
            phrase: The phrase that SAM 3 is, or was, asked for.

        Returns:
            One sentence, or "" if there is nothing to know.

        >>> print(Sam3.load("tiny").vocabulary_warning("giraffe").partition(";")[0])
        The embedded SAM 3 does not know 'giraffe'
        """
        concept = self._concepts.get(normalize_phrase(phrase))
        return self._backend.vocabulary_warning(phrase if concept is None else concept.phrase or "")


def _find_prompt_kind(prompt: Prompt) -> PromptKind | None:
    """Return what masks are found by; None for what is never calibrated."""
    if isinstance(prompt, VisualPrompt):
        return "click"
    if prompt.concept is not None or prompt.exemplar_image is not None:
        return None
    return "exemplar" if prompt.boxes else "phrase"


def _report_batch(server: SegmentationServer, on_batch: Callable[[BatchReport], None], run: BatchRun) -> None:
    load = server.last_load
    on_batch(
        BatchReport(
            size=run.size,
            images=load.images,
            encodes=load.encodes,
            seconds=run.seconds,
            waited=run.waited,
            waiting=run.waiting,
            cache_bytes=server.cache_bytes,
            failed=run.failed,
        )
    )


def _keep_answers(network: Backend, *, cache: str | Path | None, record: str | Path | None) -> tuple[Backend, int, int]:
    """Put the folders that remember or record answers in front of a network.

    Returns what answers now, and the room for its embeddings, as `choose_cache_bytes` does.
    """
    backend, (room, spare) = network, choose_cache_bytes(network, _read_memory_bytes())
    if cache is not None:
        made_with = _describe_maker(network)
        backend = CachingBackend(backend, cache, made_with=made_with, cache_bytes=room, host_bytes=spare)
        room, spare = CACHE_BYTES, 0  # for images, which have not been encoded
    return (backend if record is None else RecordingBackend(backend, record)), room, spare


def choose_cache_bytes(network: Backend, memory_bytes: int) -> tuple[int, int]:
    """Choose the room for embeddings on the network's device, and in the host's memory for what leaves a GPU.

    Args:
        network: A backend whose weights are loaded.
        memory_bytes: The host's memory.

    Returns:
        `cache_bytes` and `host_bytes` of `Sam3`. On a small GPU that is a quarter of what is free there, for a pass
        needs the rest; on a small host an eighth of its memory.

    >>> from sam3_tool import ScriptedBackend
    >>> choose_cache_bytes(ScriptedBackend({}), 2**36) == (CACHE_BYTES, 0)
    True
    """
    if not getattr(network, "is_on_gpu", False):
        return CACHE_BYTES, 0
    free_bytes = int(getattr(network, "free_bytes", 4 * GPU_BYTES))
    return min(GPU_BYTES, free_bytes // 4), min(HOST_BYTES, memory_bytes // 8)


def _read_memory_bytes() -> int:
    """Return the host's memory; where the system does not tell, what a large cache needs."""
    with suppress(AttributeError, OSError, ValueError):  # there is no such function on Windows
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return 8 * HOST_BYTES


def _describe_maker(backend: Backend) -> dict[str, str]:
    """Return everything beside image and prompt that an answer depends on.

    Raises CheckpointError for a backend that does not tell its weights from others.
    """
    fingerprint = str(getattr(backend, "fingerprint", ""))
    if not fingerprint:
        raise CheckpointError(
            f"SAM 3 backend {backend.name!r} has no `fingerprint` of its weights, so that its answers cannot be cached;"
            " leave the cache out"
        )
    versions = {name: version(name) for name in ("sam3-agent", "torch", "transformers", "torchvision")}
    runs_on = str(getattr(backend, "runs_on", ""))
    return {"weights": fingerprint, "runs on": runs_on, "function": FUNCTION_VERSION, **versions}
