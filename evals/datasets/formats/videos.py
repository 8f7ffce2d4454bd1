"""Benchmarks that give objects by their masks in a video's first frames, to be followed: DAVIS, SA-V."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np

from evals.bootstrap import Measure
from evals.datasets.formats.files import DataSource, hash_files, memoize_by_prediction
from evals.datasets.formats.frame_files import make_first_frame_opener, make_video_opener
from evals.datasets.formats.mask_files import encode_png
from evals.datasets.formats.one_mask import get_target
from evals.errors import DatasetError, ScoringError
from evals.metrics import jf
from evals.metrics.jf import Curves
from evals.samples import DatasetInfo, GivenMask, Prediction, Sample, Scores
from sam3_tool import Masklet
from sam3_tool.masks import rle
from sam3_tool.masks.rle import RleMask
from sam3_tool.system.files import decode_text


@dataclass(frozen=True, eq=False)
class FollowedVideo:
    """One sample: a video, and the masks that tell where its objects are. Nothing is read before it is needed."""

    id: str
    query: str
    video: str
    list_frames: Callable[[], Sequence[Path]]
    """All frames of the video."""
    list_masks: Callable[[], Sequence[Path]]
    """The PNG of each annotated frame, named as it is."""
    is_one_object: bool
    """True if what is not black is the one object; else the values are object numbers, 255 = void."""
    frame_rate: float

    def to_sample(self) -> Sample:
        return Sample(
            id=self.id,
            query=self.query,
            source=self.video,
            open_image=make_first_frame_opener(self._list_annotated_frames, self.read_labels),
            group=self.video,
            open_video=make_video_opener(self.list_frames, self.frame_rate),
            given=self.list_given,
            target_masklets=self.list_targets,
        )

    def _list_annotated_frames(self) -> list[Path]:
        masks = self.list_masks()
        folder = next((path.parent for path in self.list_frames()), Path())
        return [folder / f"{mask.stem}.jpg" for mask in masks]

    def read_labels(self) -> np.ndarray:
        """uint8, (T, H, W), object numbers of the annotated frames. Raises ScoringError."""
        paths = self.list_masks()
        if not paths:
            raise ScoringError(f"video {self.id!r} has no PNG among the targets")
        labels = np.stack(list(jf.read_masks(paths)))
        return (labels > 0).astype(np.uint8) if self.is_one_object else labels

    @property
    def places(self) -> list[int]:
        """Index in the video of each annotated frame. Raises DatasetError."""
        by_name = {path.stem: place for place, path in enumerate(self.list_frames())}
        try:
            return [by_name[mask.stem] for mask in self.list_masks()]
        except KeyError as error:
            raise DatasetError(f"video {self.video!r} has no frame {error.args[0]}, which is annotated") from None

    def list_targets(self) -> list[Masklet]:
        """Each object on the annotated frames. Raises ScoringError."""
        labels, places = self.read_labels(), self.places
        numbers = [number for number in np.unique(labels).tolist() if number not in (0, jf.VOID)]
        return [self._build_target(labels == number, places) for number in numbers]

    @staticmethod
    def _build_target(masks: np.ndarray, places: Sequence[int]) -> Masklet:
        seen = {place: rle.encode_mask(mask) for place, mask in zip(places, masks, strict=True) if mask.any()}
        return Masklet(tuple(seen), tuple(seen.values()), (1.0,) * len(seen), 1.0)

    def list_given(self) -> list[GivenMask]:
        """Each object where it is first seen: in the first frame, if several are numbered. Raises ScoringError."""
        labels = self.read_labels()
        first = labels[0]
        numbers = [1] if self.is_one_object else [n for n in np.unique(first).tolist() if n not in (0, jf.VOID)]
        return [self._find_first(labels, number) for number in numbers if (labels == number).any()]

    def _find_first(self, labels: np.ndarray, number: int) -> GivenMask:
        place = int((labels == number).any(axis=(1, 2)).argmax())
        return GivenMask(self.places[place], rle.encode_mask(labels[place] == number))

    def draw_labels(self, prediction: Prediction, like: np.ndarray) -> np.ndarray:
        """uint8, (T, H, W), the prediction's object numbers on the annotated frames; where two meet, the surer one.

        `like`: the target's. Raises DatasetError for a prediction of another size.
        """
        size = (like.shape[1], like.shape[2])
        if prediction.video_size not in (None, size):
            raise DatasetError(
                f"the masks of {self.id!r} are {prediction.video_size[1]} x {prediction.video_size[0]} pixels, its"
                f" ground truth is {size[1]} x {size[0]}: get the video in the size in which it was annotated"
            )
        numbers = [1] if self.is_one_object else [n for n in np.unique(like[0]).tolist() if n not in (0, jf.VOID)]
        labels = np.zeros_like(like)
        masklets = list(zip(numbers, prediction.load_masklets(), strict=False))
        for row, frame in enumerate(self.places):
            seen: list[tuple[float, int, RleMask]] = []
            for number, masklet in masklets:
                place = masklet.find_place(frame)
                if place is not None:
                    seen.append((masklet.scores[place], number, masklet.rles[place]))
            for _, number, mask in sorted(seen, key=lambda entry: entry[0]):
                labels[row][rle.decode_mask(mask)] = number
        return labels


@dataclass(frozen=True, eq=False)
class FollowingDataset:
    """A split of such a benchmark."""

    name: str
    source: DataSource
    split: str
    root: Path
    files: Callable[[], Sequence[Path]]
    """The annotations, all below `root`."""
    videos: Sequence[FollowedVideo]
    masks: Path
    """The folder of all masks."""
    video_names: Sequence[str]
    convention: Literal["davis", "sav"]
    published: int | None = None
    notes: tuple[str, ...] = ()

    version = "2"

    def list_samples(self) -> Sequence[Sample]:
        return self._samples

    @cached_property
    def _samples(self) -> list[Sample]:
        return [video.to_sample() for video in self.videos]

    def collect_info(self) -> DatasetInfo:
        return DatasetInfo(
            samples=len(self.videos),
            images=len({video.video for video in self.videos}),
            hash=hash_files(self.files(), self.root),
            published=self.published,
            licence=self.source.licence,
            source=self.source.location,
            notes=self.notes,
        )

    def score_file(self, predictions: Path) -> Mapping[str, float]:
        videos = jf.read_folders(self.masks, predictions, names=self.video_names)
        return _select_numbers(jf.score(videos, convention=self.convention))

    def score(self, predictions: Sequence[Prediction]) -> Scores:
        pieces = self._judge_predictions(predictions)
        rates = {
            prediction.id: float(np.mean([100 * curve.mean() for curves in piece.values() for curve in curves]))
            for prediction, piece in zip(predictions, pieces, strict=True)
        }
        return Scores("jf", self._summarize(pieces), rates)

    def build_measure(self, predictions: Sequence[Prediction]) -> Measure:
        pieces = self._judge_predictions(predictions)
        return lambda drawn: self._summarize([pieces[place] for place in drawn])["jf"]

    def _summarize(self, pieces: Sequence[Mapping[int, Curves]]) -> dict[str, float]:
        objects = {
            (str(place), number): curves for place, piece in enumerate(pieces) for number, curves in piece.items()
        }
        return _select_numbers(jf.summarize_curves(objects, self.convention))

    @cached_property
    def _judge_predictions(self) -> Callable[[Sequence[Prediction]], list[Mapping[int, Curves]]]:
        return memoize_by_prediction(
            lambda predictions: [self._judge_prediction(prediction) for prediction in predictions]
        )

    def _judge_prediction(self, prediction: Prediction) -> Mapping[int, Curves]:
        video = self._find_video(prediction)
        target = video.read_labels()
        found = video.draw_labels(prediction, target)
        if video.is_one_object:
            found, target = found > 0, target > 0
        return dict(jf.compute_object_curves((video.id, found, target), self.convention))

    def build_submission(self, predictions: Sequence[Prediction]) -> dict[str, bytes]:
        """A PNG for each annotated frame, in a folder for each video, or for each object."""
        written: dict[str, bytes] = {}
        for prediction in predictions:
            video = self._find_video(prediction)
            labels = video.draw_labels(prediction, video.read_labels())
            values = labels * np.uint8(255) if video.is_one_object else labels
            for path, frame in zip(video.list_masks(), values, strict=True):
                written[f"{video.id}/{path.name}"] = encode_png(frame)
        return written

    def _find_video(self, prediction: Prediction) -> FollowedVideo:
        video: FollowedVideo = get_target(self._by_id, prediction)
        return video

    @cached_property
    def _by_id(self) -> dict[str, FollowedVideo]:
        return {video.id: video for video in self.videos}


def _select_numbers(scores: Mapping[str, float]) -> dict[str, float]:
    return {name: scores[name] for name in ("jf", "j", "f", "objects")}


def list_jpegs(folder: Path) -> list[Path]:
    """The frames of a video by name, without the hidden files that file systems leave."""
    return sorted(path for path in folder.glob("*.jpg") if not path.name.startswith("."))


def read_video_names(listing: Path, masks: Path, source: DataSource) -> list[str]:
    """The videos that a file lists, one a line, each of which has a folder in `masks`. Raises DatasetError."""
    try:
        names = [line.strip() for line in decode_text(listing.read_bytes()).split("\n") if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise source.build_broken_error(listing, f"cannot be read ({error})") from error
    if not names:
        raise source.build_broken_error(listing, "names no video")
    if absent := [name for name in names if not (masks / name).is_dir()]:
        raise source.build_missing_error(
            f"{masks} has no folder {absent[0]}", f"masks of all {len(names)} videos in {listing.name}"
        )
    return names
