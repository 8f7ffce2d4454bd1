"""The parts of a benchmark: samples to ask, predictions that came, and the data set that scores them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from agent.core.outcome import Outcome
from agent.core.usage import NO_COST, Usage
from agent.records.base import Text
from evals.bootstrap import Measure
from sam3_tool import Image, Instances, Masklet, Masklets, Video
from sam3_tool.masks.rle import RleMask, decode_masks, merge_masks

Status = Literal["ok", "no_mask", "asked", "budget", "failed"]
"""'ok': answered with masks; 'no_mask': answered that there is none; 'asked': a question instead of an answer;
'budget': ended by a limit, with the best answer so far; 'failed': ended by an error, with what was found until then."""

STATUS_BY_OUTCOME: Mapping[Outcome, Status] = {
    "answered": "ok",
    "no_match": "no_mask",
    "asked": "asked",
    "step_limit": "budget",
    "budget": "budget",
    "failed": "failed",
}


@dataclass(frozen=True, eq=False)
class GivenMask:
    """An object that is shown by its mask on one frame of a video, to be followed from there.

    >>> GivenMask(0, RleMask((4, 6), "0h0")).mask.size
    (4, 6)
    """

    frame: int
    """Index in the video."""
    mask: RleMask


@dataclass(frozen=True, eq=False)
class Sample:
    """One query about one image, or about one video.

    >>> import numpy as np
    >>> from sam3_tool import Image
    >>> sample = Sample("a", "cup", "a.png", lambda: Image(np.zeros((4, 4, 3), np.uint8)), group="a.png")
    >>> sample.open_image().height
    4
    """

    id: str
    """Unique in its data set, and the same whenever it is loaded."""
    query: str
    source: str
    """The image's file, relative to the data, for reports."""
    open_image: Callable[[], Image]
    """Reads the image, or the video's first frame, when it is called. Raises ImageError."""
    group: str
    """The image or video: samples about one are not independent, so that intervals are drawn over groups."""
    slices: Mapping[str, str] = field(default_factory=dict)
    """Which rows of the report it counts in, e.g. {"length": "short"}."""
    direct: bool = False
    """A plain noun phrase, which SAM 3 is asked without a planner (OmniLabel's categories, SA-Co)."""
    presence: bool = True
    """For a direct sample, True if SAM 3's doubt that the phrase is there at all counts in the scores."""
    target: Callable[[], np.ndarray] | None = None
    """Reads bool (H, W), what is to be found, for the report's images; None where there are only boxes."""
    target_boxes: Sequence[tuple[float, float, float, float]] | None = None
    """x0 y0 x1 y1 in pixels: the same, where there are only boxes."""
    open_video: Callable[[], Video] | None = None
    """Opens the video when it is called; None where the sample is about an image. Raises VideoError."""
    given: Callable[[], Sequence[GivenMask]] | None = None
    """Reads the objects that are to be followed; None where `query` is asked."""
    target_masklets: Callable[[], Sequence[Masklet]] | None = None
    """Reads what is to be found in the video, for the report's images; None where nobody knows it."""


class SavedMasklet(BaseModel):
    """One object through a video, as `Masklet.to_dict` writes it.

    >>> SavedMasklet(score=0.9, frames=(2,), scores=(0.8,), counts=("0h0",)).frames
    (2,)
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    score: float
    frames: tuple[int, ...]
    scores: tuple[float, ...]
    counts: tuple[str, ...]
    """Run lengths of its mask on each of `frames`."""


class Prediction(BaseModel):
    """The answer to one sample: a line of `samples.jsonl`.

    >>> Prediction.make_failed("a", "no server").status
    'failed'
    """

    model_config = ConfigDict(frozen=True)

    id: str
    status: Status
    masks: tuple[RleMask, ...] = ()
    boxes: tuple[tuple[float, float, float, float], ...] = ()
    """x0 y0 x1 y1 in pixels, as SAM 3's detector gives them."""
    scores: tuple[float, ...] = ()
    """In [0, 1]."""
    presence: float = 0.0
    message: Text = ""
    usage: Usage = NO_COST
    seconds: float = 0.0
    error: Text = ""
    """The cause of a failure, in one line."""
    masklets: tuple[SavedMasklet, ...] = Field(default=(), exclude_if=lambda masklets: not masklets)
    """Of a video: the objects that answer, or one for each that was given, in their order."""
    video_size: tuple[int, int] | None = Field(default=None, exclude_if=lambda size: size is None)
    """Height and width of the masklets' masks; None where there is no video, or no answer."""

    @classmethod
    def from_instances(cls, id: str, found: Instances, status: Status, **more: Any) -> "Prediction":
        """Make a prediction of instances.

        Args:
            id: Id of the sample.
            found: The instances that answer it.
            status: How the sample ended.
            more: Other fields, e.g. `message`.

        Returns:
            The prediction, with masks, boxes and scores in the order of the instances.
        """
        return cls(
            id=id,
            status=status,
            masks=found.rles,
            boxes=tuple((x0, y0, x1, y1) for x0, y0, x1, y1 in found.boxes.tolist()),
            scores=tuple(found.scores.tolist()),
            presence=float(found.presence),
            **more,
        )

    @classmethod
    def from_masklets(cls, id: str, found: Masklets, status: Status, **more: Any) -> "Prediction":
        """Make a prediction of objects in a video.

        Args:
            id: Id of the sample.
            found: The objects that answer it.
            status: How the sample ended.
            more: Other fields, e.g. `message`.

        Returns:
            The prediction, with the objects in their order.
        """
        saved = tuple(SavedMasklet.model_validate(masklet.to_dict()) for masklet in found.masklets)
        presence = float(found.presence.max(initial=0.0))
        return cls(id=id, status=status, masklets=saved, video_size=found.size, presence=presence, **more)

    def load_masklets(self) -> list[Masklet]:
        """Convert the objects back.

        Returns:
            One per object, in their order.

        Raises:
            ValueError: They are damaged.
        """
        if self.video_size is None:
            return []
        return [Masklet.from_dict(saved.model_dump(mode="json"), self.video_size) for saved in self.masklets]

    def to_masklets(self, length: int, phrase: str = "") -> Masklets | None:
        """Convert to objects with ids, counted from 1.

        Args:
            length: Frames of the video.
            phrase: What was asked.

        Returns:
            The objects; None where there was no answer.
        """
        if self.video_size is None:
            return None
        masklets = tuple(self.load_masklets())
        presence = np.full(length, self.presence, np.float32)
        return Masklets(masklets, tuple(range(1, len(masklets) + 1)), self.video_size, length, phrase, presence)

    def merge_masklets(self) -> dict[int, RleMask]:
        """Merge all objects.

        Returns:
            Frame -> the pixels of all objects; without frames on which there are none.
        """
        by_frame: dict[int, list[RleMask]] = {}
        for masklet in self.load_masklets():
            for frame, mask in zip(masklet.frames, masklet.rles, strict=True):
                by_frame.setdefault(frame, []).append(mask)
        return {frame: masks[0] if len(masks) == 1 else merge_masks(masks) for frame, masks in sorted(by_frame.items())}

    @property
    def is_empty(self) -> bool:
        """True if it has no mask, no box and no object of a video."""
        return not (self.masks or self.boxes or any(masklet.frames for masklet in self.masklets))

    @classmethod
    def make_failed(cls, id: str, error: str, seconds: float = 0.0) -> "Prediction":
        """Make the prediction of a sample that failed. It counts as an empty answer, never as absent.

        Args:
            id: Id of the sample.
            error: What happened, in one line.
            seconds: Time until then.

        Returns:
            A prediction without masks.
        """
        return cls(id=id, status="failed", error=error, seconds=seconds)

    def merge_masks(self, height: int, width: int) -> np.ndarray:
        """Merge all masks.

        Args:
            height: Of the image, in pixels.
            width: Of the image, in pixels.

        Returns:
            bool, (height, width): the pixels of all masks; none are set where there is no mask.
        """
        return np.asarray(decode_masks(self.masks, height, width).any(axis=0))


@dataclass(frozen=True)
class DatasetInfo:
    """Facts about a data set's files, known before anything is run."""

    samples: int
    images: int
    hash: str
    """SHA-256 over the names and contents of the annotation files, in hexadecimal."""
    published: int | None
    """Number of samples in the published split."""
    licence: str
    source: str
    """Where to get it, in words."""
    notes: tuple[str, ...] = ()
    """Facts that a reader of the numbers must know: version, variant, samples left out."""


@dataclass(frozen=True)
class Scores:
    """The numbers of one run.

    >>> scores = Scores("giou", {"giou": 0.5, "ciou": 0.25})
    >>> scores.metrics[scores.headline]
    0.5
    """

    headline: str
    """The name, in `metrics`, of the number that is quoted."""
    metrics: Mapping[str, float]
    per_sample: Mapping[str, float] = field(default_factory=dict)
    """Sample id -> its own number, the higher the better, where the metric has one: it says which samples to look at,
    and is not what the headline is made of."""


class Benchmark(Protocol):
    """The samples that are asked, and the scoring of the answers.

    It is cheap to make: no image is opened before a sample's `open_image` is called.

    Example:
        >>> from evals import Benchmark, load_dataset
        >>> benchmark: Benchmark = load_dataset("scenes", number=2)
        >>> benchmark.name, len(benchmark.list_samples())
        ('scenes', 2)
    """

    @property
    def name(self) -> str:
        """The name of its entry point, e.g. 'reasonseg'."""
        ...

    @property
    def version(self) -> str:
        """Version of the task. It changes whenever the same files would be asked or scored differently."""
        ...

    @property
    def split(self) -> str:
        """Name of the split, e.g. 'val'."""
        ...

    def list_samples(self) -> Sequence[Sample]:
        """List the samples.

        Returns:
            The samples in the data set's own order, which is the same each time.
        """
        ...

    def collect_info(self) -> DatasetInfo:
        """Describe the files.

        Returns:
            How many samples and images they hold, their hash, licence and source.
        """
        ...

    def score_file(self, predictions: Path) -> Mapping[str, float]:
        """Score predictions in the benchmark's own format, whoever made them.

        Args:
            predictions: A file, or a folder for benchmarks that take one.

        Returns:
            Numbers by name, the headline first.

        Raises:
            ScoringError: The predictions have no official score.
            DatasetError: The data that they are compared with are not as published.
        """
        ...


class Dataset(Benchmark, Protocol):
    """A benchmark of images, which can be run.

    Example:
        >>> from evals import Dataset, load_dataset
        >>> dataset: Dataset = load_dataset("scenes", number=2)
        >>> failed = [Prediction.make_failed(sample.id, "no server") for sample in dataset.list_samples()]
        >>> dataset.score(failed).headline
        'giou'
    """

    def build_submission(self, predictions: Sequence[Prediction]) -> dict[str, bytes]:
        """Write predictions in the benchmark's official format.

        Args:
            predictions: One per sample that was asked, in the data set's order.

        Returns:
            File name -> content.
        """
        ...

    def score(self, predictions: Sequence[Prediction]) -> Scores:
        """Compute the official metric.

        Args:
            predictions: One per sample that was asked, in the data set's order.

        Returns:
            All numbers of the benchmark, and which of them is quoted.
        """
        ...

    def build_measure(self, predictions: Sequence[Prediction]) -> Measure:
        """Build the function that scores a bootstrap draw.

        Args:
            predictions: One per sample that was asked, in the data set's order.

        Returns:
            A function from indices into `predictions`, which may repeat, to the headline number over those.
        """
        ...
