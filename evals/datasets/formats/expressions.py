"""Benchmarks of expressions about videos: each is asked on its own, and answered by a mask for every frame."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from evals.bootstrap import Measure
from evals.datasets.formats.files import DataSource, hash_files, memoize_by_prediction, read_upright_size
from evals.datasets.formats.frame_files import make_first_frame_opener, make_video_opener
from evals.datasets.formats.mask_files import MaskTree, write_mask_zip
from evals.datasets.formats.one_mask import get_target
from evals.errors import DatasetError, NoTruthError
from evals.metrics import jf
from evals.metrics.inputs.entries import Entry, get_field, require_list, require_object
from evals.samples import DatasetInfo, Prediction, Sample, Scores
from sam3_tool import Masklet
from sam3_tool.masks import rle
from sam3_tool.masks.rle import RleMask

FRAME_RATE = 6.0
"""Frames a second, where a benchmark does not say it: most of them are annotated five or six times a second."""
SAVED_VALUE = 255
"""Of the pixels of a mask."""
SUBMISSION = "masks.zip"


@dataclass(frozen=True, eq=False)
class Expression:
    """One expression about one video."""

    id: str
    """Of the sample."""
    text: str
    video: str
    frames: tuple[Path, ...]
    """The image of every frame of the video."""
    folder: str
    """Where its predicted masks lie."""
    entry: Entry
    """As the annotations have it."""
    names: tuple[str, ...] = ()
    """Of the annotated frames, without their ending; empty if all are."""
    slices: Mapping[str, str] = field(default_factory=dict)

    @property
    def judged(self) -> dict[str, int]:
        """Name -> index in the video, of the frames that are annotated."""
        places = {path.stem: place for place, path in enumerate(self.frames)}
        return {name: places[name] for name in self.names} if self.names else places

    def read_size(self) -> tuple[int, int]:
        """(height, width) of the video. Raises DatasetError."""
        return read_upright_size(self.frames[0])

    def to_sample(
        self, check_truth: Callable[[], object], target: Callable[[], Sequence[Masklet]] | None = None
    ) -> Sample:
        return Sample(
            id=self.id,
            query=" ".join(self.text.split()),
            source=self.video,
            open_image=make_first_frame_opener(lambda: self.frames, check_truth),
            group=self.video,
            slices=self.slices,
            open_video=make_video_opener(lambda: self.frames, FRAME_RATE),
            target_masklets=target,
        )


FrameMasks = Sequence[Sequence[RleMask]]
"""For each annotated frame the masks of the objects that are meant."""


class Referee(Protocol):
    """What a benchmark makes of an expression's masks."""

    @property
    def headline(self) -> str:
        """Name of the number that is quoted."""

    @property
    def is_known(self) -> bool:
        """True if the truth can be read; else only a server knows it."""

    def read_truth(self, expression: Expression) -> FrameMasks:
        """Raises DatasetError, or NoTruthError where only a server knows it."""

    def judge(self, expression: Expression, size: tuple[int, int], masks: Iterable[np.ndarray]) -> Any:
        """Give the numbers of one expression; `masks`: uint8 (H, W) for each annotated frame."""

    def judge_missing(self, expression: Expression, tree: MaskTree) -> Any:
        """Give the numbers of an expression without a folder of masks. Raises ScoringError."""

    def summarize(self, judged: Sequence[tuple[Expression, Any]]) -> Mapping[str, float]:
        """The numbers over all, the headline first."""

    def rate(self, numbers: Any) -> float:
        """One number of an expression, the higher the better."""


@dataclass(frozen=True, eq=False)
class ExpressionDataset:
    """A split of such a benchmark."""

    name: str
    source: DataSource
    split: str
    root: Path
    files: Sequence[Path]
    """The annotations, all below `root`."""
    expressions: Sequence[Expression]
    referee: Referee
    published: int | None = None
    notes: tuple[str, ...] = ()
    within: str = ""
    """The folder of the submission that holds those of the videos."""

    version = "1"

    def list_samples(self) -> Sequence[Sample]:
        return self._samples

    @cached_property
    def _samples(self) -> list[Sample]:
        return [
            expression.to_sample(
                self._make_truth_check(expression),
                self._make_target_reader(expression) if self.referee.is_known else None,
            )
            for expression in self.expressions
        ]

    def _make_target_reader(self, expression: Expression) -> Callable[[], list[Masklet]]:
        def read_target() -> list[Masklet]:
            """All that is meant, as one object."""
            frames = zip(expression.judged.values(), self.referee.read_truth(expression), strict=True)
            seen = {frame: rle.merge_masks(list(masks)) for frame, masks in frames if masks}
            shown = {frame: mask for frame, mask in seen.items() if rle.compute_areas([mask])[0]}
            return [Masklet(tuple(shown), tuple(shown.values()), (1.0,) * len(shown), 1.0)] if shown else []

        return read_target

    def _make_truth_check(self, expression: Expression) -> Callable[[], object]:
        def check_truth() -> None:
            with suppress(NoTruthError):
                self.referee.read_truth(expression)

        return check_truth

    def collect_info(self) -> DatasetInfo:
        return DatasetInfo(
            samples=len(self.expressions),
            images=len({expression.video for expression in self.expressions}),
            hash=hash_files(self.files, self.root),
            published=self.published,
            licence=self.source.licence,
            source=self.source.location,
            notes=self.notes,
        )

    def score(self, predictions: Sequence[Prediction]) -> Scores:
        pieces = self._judge_predictions(predictions)
        rates = {p.id: self.referee.rate(piece) for p, piece in zip(predictions, pieces, strict=True)}
        return Scores(self.referee.headline, self.referee.summarize(self._name_pieces(predictions, pieces)), rates)

    def build_measure(self, predictions: Sequence[Prediction]) -> Measure:
        named = self._name_pieces(predictions, self._judge_predictions(predictions))
        return lambda drawn: self.referee.summarize([named[place] for place in drawn])[self.referee.headline]

    def _name_pieces(self, predictions: Sequence[Prediction], pieces: Sequence[Any]) -> list[tuple[Expression, Any]]:
        return [(self._find_expression(p), piece) for p, piece in zip(predictions, pieces, strict=True)]

    @cached_property
    def _judge_predictions(self) -> Callable[[Sequence[Prediction]], list[Any]]:
        return memoize_by_prediction(
            lambda predictions: [self._judge_prediction(prediction) for prediction in predictions]
        )

    def _judge_prediction(self, prediction: Prediction) -> Any:
        expression = self._find_expression(prediction)
        size = self._read_size(expression, prediction)
        return self.referee.judge(expression, size, iterate_saved_masks(expression, prediction, size))

    def _read_size(self, expression: Expression, prediction: Prediction) -> tuple[int, int]:
        """(height, width) of the truth, if there is a mask, else of the video. Raises DatasetError."""
        masks = (mask for frame in self.referee.read_truth(expression) for mask in frame)
        first = next(masks, None)
        size = expression.read_size() if first is None else first.size
        if prediction.video_size not in (None, size):
            raise DatasetError(
                f"the masks of {prediction.id!r} are {prediction.video_size[1]} x {prediction.video_size[0]} pixels,"
                f" its ground truth is {size[1]} x {size[0]}: get the video as it was published"
            )
        return size

    def build_submission(self, predictions: Sequence[Prediction]) -> dict[str, bytes]:
        return {SUBMISSION: write_mask_zip(self._iterate_submission(predictions))}

    def _iterate_submission(self, predictions: Sequence[Prediction]) -> Iterator[tuple[str, np.ndarray]]:
        prefix = f"{self.within}/" if self.within else ""
        for prediction in predictions:
            expression = self._find_expression(prediction)
            size = prediction.video_size or expression.read_size()
            masks = iterate_saved_masks(expression, prediction, size)
            for name, mask in zip(expression.judged, masks, strict=True):
                yield f"{prefix}{expression.folder}/{name}.png", mask

    def score_file(self, predictions: Path) -> Mapping[str, float]:
        tree = MaskTree(predictions, within=self.within)
        return self.referee.summarize(
            [(expression, self._judge_tree(expression, tree)) for expression in self.expressions]
        )

    def _judge_tree(self, expression: Expression, tree: MaskTree) -> Any:
        if not tree.has_folder(expression.folder):
            return self.referee.judge_missing(expression, tree)
        size = self._read_size(expression, Prediction.make_failed(expression.id, ""))
        masks = (tree.read_mask(f"{expression.folder}/{name}.png", size) for name in expression.judged)
        return self.referee.judge(expression, size, masks)

    def _find_expression(self, prediction: Prediction) -> Expression:
        expression: Expression = get_target(self._by_id, prediction)
        return expression

    @cached_property
    def _by_id(self) -> dict[str, Expression]:
        return {expression.id: expression for expression in self.expressions}


def iterate_saved_masks(expression: Expression, prediction: Prediction, size: tuple[int, int]) -> Iterator[np.ndarray]:
    """The union of all objects as it is saved, uint8 (H, W), for each annotated frame."""
    merged = prediction.merge_masklets()
    for frame in expression.judged.values():
        found = merged.get(frame)
        yield np.zeros(size, np.uint8) if found is None else rle.decode_mask(found).astype(np.uint8) * SAVED_VALUE


def count_annotations(masks: Sequence[RleMask], size: tuple[int, int]) -> np.ndarray:
    """uint8, (H, W): how many of the masks cover each pixel."""
    count = np.zeros(size, np.uint8)
    for mask in masks:
        count += rle.decode_mask(mask)
    return count


@dataclass(frozen=True, eq=False)
class OverlapReferee:
    """J&F over all frames, as MeViS has it; `truth`: raises NoTruthError where only a server knows it."""

    truth: Callable[[Expression], FrameMasks]
    missing: Callable[[Expression, MaskTree], tuple[float, float]]
    """J and F of an expression without masks. Raises ScoringError where that is an error."""
    is_known: bool = True

    headline = "jf"

    def read_truth(self, expression: Expression) -> FrameMasks:
        return self.truth(expression)

    def judge(self, expression: Expression, size: tuple[int, int], masks: Iterable[np.ndarray]) -> tuple[float, float]:
        targets = (count_annotations(frame, size) > 0 for frame in self.truth(expression))
        j, f = jf.compute_curves(zip((mask > 0 for mask in masks), targets, strict=True))
        return float(j.mean()), float(f.mean())

    def judge_missing(self, expression: Expression, tree: MaskTree) -> tuple[float, float]:
        return self.missing(expression, tree)

    def summarize(self, judged: Sequence[tuple[Expression, tuple[float, float]]]) -> Mapping[str, float]:
        j, f = (float(np.mean(column)) for column in zip(*(numbers for _, numbers in judged), strict=True))
        return {"jf": 100 * ((j + f) / 2), "j": 100 * j, "f": 100 * f, "expressions": float(len(judged))}

    def rate(self, numbers: tuple[float, float]) -> float:
        return 50 * sum(numbers)


def read_videos(source: DataSource, file: Path) -> Mapping[str, Entry]:
    """The videos of a `meta_expressions.json`, by name. Raises DatasetError."""

    def parse_videos(content: Any) -> Mapping[str, Entry]:
        return {
            str(name): require_object(video, f"video {name!r}")
            for name, video in require_object(content["videos"], "`videos`").items()
        }

    videos = source.parse_json(file, parse_videos)
    if not videos:
        raise source.build_broken_error(file, "lists no video")
    return videos


def list_frame_paths(video: Entry, name: str, folder: Path) -> tuple[Path, ...]:
    """The images of the frames that a video lists, in the order of their names. Raises ScoringError."""
    frames = require_list(get_field(video, "frames", f"video {name!r}"), f"`frames` of video {name!r}")
    return tuple(folder / name / f"{frame}.jpg" for frame in sorted(map(str, frames)))
