"""SA-Co/VEval: all masklets of a noun phrase, in videos that hold some or none.

`annotation/saco_veval_sav_test.json`, with the frames in `media/`. Boxes are x, y, w, h in pixels; a frame in which the
object is not seen has null:

    {"videos": [{"id": 0, "video_name": "sav_000208", "file_names": ["sav_000208/00000.jpg"], "height": 1280,
                 "width": 720, "length": 1}],
     "annotations": [{"id": 167, "video_id": 0, "category_id": 1390, "noun_phrase": "a braid", "iscrowd": 0,
                      "segmentations": [{"size": [1280, 720], "counts": "..."}], "bboxes": [[286, 497, 69, 77]],
                      "areas": [1425], "height": 1280, "width": 720}],
     "categories": [{"id": 1390, "name": "a braid"}],
     "video_np_pairs": [{"id": 977, "video_id": 0, "category_id": 1390, "noun_phrase": "a braid", "num_masklets": 1}]}

Predictions: a list of `{video_id, category_id, score, bboxes, segmentations, areas}` with an entry for every frame.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from evals.bootstrap import Measure
from evals.datasets.formats.files import DataSource, hash_files, memoize_by_prediction, to_json
from evals.datasets.formats.frame_files import make_first_frame_opener, make_video_opener
from evals.datasets.formats.one_mask import get_target
from evals.datasets.loading import dataset_loader
from evals.errors import DatasetError
from evals.metrics import veval
from evals.metrics.inputs.boxes import compute_mask_box
from evals.metrics.inputs.entries import Entry, require_list
from evals.samples import DatasetInfo, Prediction, Sample, Scores
from sam3_tool import Masklet
from sam3_tool.masks import rle
from sam3_tool.masks.rle import RleMask

SOURCE = DataSource(
    "SA-Co/VEval",
    "huggingface.co/datasets/facebook/SACo-VEval, and the frames as scripts/eval/veval of"
    " github.com/facebookresearch/sam3 says",
    "CC BY-NC 4.0 (SmartGlasses: CC BY 4.0); the videos have their own",
)
MEDIA = {
    "sav": "saco_sav/JPEGImages_24fps",
    "yt1b": "saco_yt1b/JPEGImages_6fps",
    "smartglasses": "saco_sg/JPEGImages_6fps",
}
"""Source -> the folder of its frames."""
SPLITS = tuple(f"{source}-{part}" for source in MEDIA for part in ("val", "test"))


FRAME_RATE = 6.0
"""Frames a second, for time stamps on pages."""


@dataset_loader(splits=SPLITS)
def load(data: Path, split: str, *, pictures: str | Path | None = None) -> "Veval":
    """Load SA-Co/VEval.

    Args:
        data: The folder that holds `annotation/` and `media/`, or that of the annotations.
        split: For example "sav-test".
        pictures: Where the folders of `file_names` lie.
    """
    if split not in SPLITS:
        raise DatasetError(f"SA-Co/VEval has the splits {', '.join(SPLITS)}, not {split!r}")
    source, part = split.split("-")
    name = f"saco_veval_{source}_{part}.json"
    file = SOURCE.find_first([data / "annotation" / name, data / name], f"the file annotation/{name}")
    frames = Path(pictures) if pictures else _find_frames(data, source)
    pairs = SOURCE.parse_json(file, lambda content: list(_list_pairs(content, frames)))
    if not pairs:
        raise SOURCE.build_broken_error(file, "lists no pair of a video and a phrase in `video_np_pairs`")
    return Veval(split, file, pairs)


def _find_frames(data: Path, source: str) -> Path:
    folders = [folder / "media" / MEDIA[source] for folder in (data, data.parent)]
    return SOURCE.find_first(folders, f"the frames in media/{MEDIA[source]}")


@dataclass(frozen=True, eq=False)
class _VideoPhrase:
    """A noun phrase, asked of a video."""

    pair: Entry
    """As `video_np_pairs` has it."""
    video: Entry
    frames: tuple[Path, ...]

    @property
    def id(self) -> str:
        return f"{self.pair['video_id']}-{self.pair['category_id']}"

    @property
    def key(self) -> veval.PairId:
        return self.pair["video_id"], self.pair["category_id"]

    def to_sample(self) -> Sample:
        return Sample(
            id=self.id,
            query=str(self.pair["noun_phrase"]),
            source=str(self.video["video_name"]),
            open_image=make_first_frame_opener(lambda: self.frames),
            group=str(self.video["id"]),
            slices={"phrase": "positive" if self.pair["num_masklets"] else "negative"},
            direct=True,
            open_video=make_video_opener(lambda: self.frames, FRAME_RATE),
        )

    def write_masklet(self, masklet: Masklet) -> dict[str, Any]:
        """As predictions have it, with an entry for every frame."""
        empty = rle.from_runs([self.size[0] * self.size[1]], *self.size)
        masks = [masklet.at(frame) for frame in range(len(self.frames))]
        return {
            "video_id": self.key[0],
            "category_id": self.key[1],
            "score": masklet.score,
            "segmentations": [(mask or empty).to_coco() for mask in masks],
            "bboxes": [_write_box(mask) for mask in masks],
            "areas": [int(rle.compute_areas([mask])[0]) if mask else 0 for mask in masks],
        }

    @property
    def size(self) -> tuple[int, int]:
        """(height, width)."""
        return int(self.video["height"]), int(self.video["width"])


def _write_box(mask: RleMask | None) -> list[float]:
    return compute_mask_box(mask) if mask else [0.0, 0.0, 0.0, 0.0]


def _list_pairs(content: Any, frames: Path) -> Iterator[_VideoPhrase]:
    veval.check_truth(content)
    videos = {video["id"]: video for video in content["videos"]}
    for pair in content["video_np_pairs"]:
        video = videos[pair["video_id"]]
        names = require_list(video["file_names"], f"`file_names` of video {video['id']!r}")
        yield _VideoPhrase(pair, video, tuple(frames / str(name) for name in names))


@dataclass(frozen=True, eq=False)
class Veval:
    """A split of SA-Co/VEval."""

    split: str
    file: Path
    pairs: Sequence[_VideoPhrase]

    name = "saco-veval"
    version = "2"

    def list_samples(self) -> Sequence[Sample]:
        return self._samples

    @cached_property
    def _samples(self) -> list[Sample]:
        return [pair.to_sample() for pair in self.pairs]

    def collect_info(self) -> DatasetInfo:
        return DatasetInfo(
            samples=len(self.pairs),
            images=len({pair.key[0] for pair in self.pairs}),
            hash=hash_files([self.file], self.file.parent),
            published=None,
            licence=SOURCE.licence,
            source=SOURCE.location,
            notes=("Headline: cgF1 of masks; pHOTA beside it.", "Frames of YT-Temporal-1B shift when fetched again."),
        )

    def score_file(self, predictions: Path) -> Mapping[str, float]:
        scores = veval.score(self.file, predictions)
        return {name: value for name, value in scores.items() if name != "official"}

    def score(self, predictions: Sequence[Prediction]) -> Scores:
        scores = self._judge_predictions(predictions)
        rates = {prediction.id: 100 * score.f1 for prediction, score in zip(predictions, scores, strict=True)}
        return Scores("cgF1", veval.summarize_pairs(scores), rates)

    def build_measure(self, predictions: Sequence[Prediction]) -> Measure:
        scores = self._judge_predictions(predictions)
        return lambda drawn: veval.summarize_pairs([scores[place] for place in drawn])["cgF1"]

    @cached_property
    def _judge_predictions(self) -> Callable[[Sequence[Prediction]], list[veval.PairScore]]:
        judge = veval.PairJudge(self.file)
        return memoize_by_prediction(
            lambda predictions: [
                judge.judge_pair(self._find_pair(prediction).key, self._write_masklets(prediction))
                for prediction in predictions
            ]
        )

    def build_submission(self, predictions: Sequence[Prediction]) -> dict[str, bytes]:
        return {
            "predictions.json": to_json(
                [entry for prediction in predictions for entry in self._write_masklets(prediction)]
            )
        }

    def _write_masklets(self, prediction: Prediction) -> list[dict[str, Any]]:
        pair = self._find_pair(prediction)
        if prediction.video_size not in (None, pair.size):
            raise DatasetError(
                f"the masks of {prediction.id!r} are {prediction.video_size[1]} x {prediction.video_size[0]} pixels,"
                f" its ground truth is {pair.size[1]} x {pair.size[0]}: get the video as it was published"
            )
        return [pair.write_masklet(masklet) for masklet in prediction.load_masklets()]

    def _find_pair(self, prediction: Prediction) -> _VideoPhrase:
        pair: _VideoPhrase = get_target(self._by_id, prediction)
        return pair

    @cached_property
    def _by_id(self) -> dict[str, _VideoPhrase]:
        return {pair.id: pair for pair in self.pairs}
