"""Ref-DAVIS17: expressions by four annotators about every object of DAVIS 2017.

`meta_expressions/valid/meta_expressions.json` as tools/data/convert_davis_to_ytvos.py of ReferFormer makes it: the
expressions of a video are those of the four annotators for object 1, then those for object 2, and so on. The frames
lie in `valid/JPEGImages/VIDEO/00000.jpg`, the masks of DAVIS-2017-Unsupervised in `valid/Annotations/VIDEO/00000.png`:

    {"videos": {"bike-packing": {"frames": ["00000"], "expressions": {"0": {"exp": "a black bike", "obj_id": "1"}}}}}

Predictions: a folder with `anno_0/VIDEO/00000.png` to `anno_3/VIDEO/00000.png`, object numbers, one folder for each
annotator. Each is scored as DAVIS scores unsupervised segmentation, and the numbers are the means of all four.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from evals.bootstrap import Measure
from evals.datasets.formats.expressions import Expression, iterate_saved_masks, list_frame_paths, read_videos
from evals.datasets.formats.files import DataSource, hash_files, name_file
from evals.datasets.formats.mask_files import encode_png
from evals.datasets.formats.one_mask import get_target
from evals.datasets.loading import dataset_loader
from evals.errors import DatasetError, ScoringError
from evals.metrics import jf
from evals.metrics.inputs.entries import get_field, require_object
from evals.metrics.jf import Curves
from evals.samples import DatasetInfo, Prediction, Sample, Scores

SOURCE = DataSource(
    "Ref-DAVIS17",
    "DAVIS-2017-Unsupervised-trainval-480p.zip from davischallenge.org, and the expressions of Khoreva et al. from"
    " www.mpi-inf.mpg.de, arranged as docs/data.md of github.com/wjn922/ReferFormer says",
    "as their download pages say; the videos have their own",
)
SPLITS = ("valid", "train")
ANNOTATORS = 4
_SAID_BY = ("first frame, annotator 1", "video, annotator 1", "first frame, annotator 2", "video, annotator 2")


@dataset_loader(splits=SPLITS)
def load(data: Path, split: str) -> "RefDavis":
    """`data`: the folder that holds `meta_expressions/` and `valid/`."""
    if split not in SPLITS:
        raise DatasetError(f"Ref-DAVIS17 has the splits {', '.join(SPLITS)}, not {split!r}")
    file = SOURCE.find_first(
        [data / "meta_expressions" / split / "meta_expressions.json"], f"the expressions of {split}"
    )
    frames = SOURCE.find_first([data / split / "JPEGImages"], f"the frames of {split}")
    masks = SOURCE.find_first(
        [data / split / "Annotations", data / "DAVIS" / "Annotations_unsupervised" / "480p"], f"the masks of {split}"
    )
    with name_file(file, SOURCE.name):
        expressions = list(_build_expressions(file, frames))
    return RefDavis(split, data, file, masks, expressions)


def _build_expressions(file: Path, frames: Path) -> Iterator[Expression]:
    for name, video in sorted(read_videos(SOURCE, file).items()):
        paths = list_frame_paths(video, name, frames)
        entries = require_object(get_field(video, "expressions", f"video {name!r}"), f"`expressions` of {name!r}")
        if not entries or len(entries) % ANNOTATORS:
            raise ScoringError(f"video {name!r} has {len(entries)} expressions, expected {ANNOTATORS} for each object")
        for place, (number, entry) in enumerate(entries.items()):
            id = f"{name}/{number}"
            text = str(get_field(entry, "exp", f"expression {id!r}"))
            where = {"annotator": place % ANNOTATORS, "object": place // ANNOTATORS + 1}
            slices = {"annotator": _SAID_BY[place % ANNOTATORS]}
            yield Expression(id, text, name, paths, id, where, slices=slices)


Part = tuple[str, int]
"""Video, annotator."""


@dataclass(frozen=True, eq=False)
class RefDavis:
    """A split of Ref-DAVIS17."""

    split: str
    root: Path
    file: Path
    masks: Path
    expressions: Sequence[Expression]

    name = "ref-davis"
    version = "1"

    def list_samples(self) -> Sequence[Sample]:
        return self._samples

    @cached_property
    def _samples(self) -> list[Sample]:
        return [expression.to_sample(self._make_truth_check(expression.video)) for expression in self.expressions]

    def _make_truth_check(self, video: str) -> Callable[[], object]:
        return lambda: self._read_labels(video)

    def collect_info(self) -> DatasetInfo:
        videos = list(dict.fromkeys(expression.video for expression in self.expressions))
        files = [self.file, *(path for video in videos for path in jf.list_frames(self.masks / video))]
        return DatasetInfo(
            samples=len(self.expressions),
            images=len(videos),
            hash=hash_files(files, self.root),
            published=None,
            licence=SOURCE.licence,
            source=SOURCE.location,
            notes=(
                "Convention: DAVIS unsupervised, as ReferFormer has it: objects are paired by J&F, all frames count,"
                " mean of four annotators. VISA's code scores every expression on its own: other numbers.",
            ),
        )

    def score(self, predictions: Sequence[Prediction]) -> Scores:
        curves = self._judge_parts(predictions)
        by_part = {part: float(np.mean([100 * c.mean() for pair in of.values() for c in pair])) for part, of in curves}
        rates = {prediction.id: by_part[_get_part(self._find_expression(prediction))] for prediction in predictions}
        return Scores("jf", _summarize_parts(curves), rates)

    def build_measure(self, predictions: Sequence[Prediction]) -> Measure:
        curves = dict(self._judge_parts(predictions))
        first = self._find_first_places(predictions)

        def measure(drawn: Sequence[int]) -> float:
            """A part counts as often as its first expression was drawn: those of a video are drawn together."""
            return _summarize_parts([(part, curves[part]) for place in drawn if (part := first.get(place))])["jf"]

        return measure

    def _find_first_places(self, predictions: Sequence[Prediction]) -> dict[int, Part]:
        """Index of the first prediction of each part -> the part."""
        found: dict[Part, int] = {}
        for place, prediction in enumerate(predictions):
            found.setdefault(_get_part(self._find_expression(prediction)), place)
        return {place: part for part, place in found.items()}

    def _judge_parts(self, predictions: Sequence[Prediction]) -> list[tuple[Part, Mapping[int, Curves]]]:
        return [(part, self._judge_part(part, some)) for part, some in self._group_by_part(predictions).items()]

    def _judge_part(self, part: Part, predictions: tuple[Prediction, ...]) -> Mapping[int, Curves]:
        if (part, predictions) not in self._known:
            target = self._read_labels(part[0])
            video = (str(part), self._draw_part(predictions, target), target)
            self._known[part, predictions] = dict(jf.compute_object_curves(video, "unsupervised"))
        return self._known[part, predictions]

    @cached_property
    def _known(self) -> dict[tuple[Part, tuple[Prediction, ...]], Mapping[int, Curves]]:
        return {}

    def _group_by_part(self, predictions: Sequence[Prediction]) -> dict[Part, tuple[Prediction, ...]]:
        """The predictions of each video and annotator, the last object first."""
        found: dict[Part, list[Prediction]] = {}
        for prediction in sorted(
            predictions, key=lambda prediction: -self._find_expression(prediction).entry["object"]
        ):
            found.setdefault(_get_part(self._find_expression(prediction)), []).append(prediction)
        return {part: tuple(some) for part, some in sorted(found.items())}

    def _draw_part(self, predictions: Sequence[Prediction], like: np.ndarray) -> np.ndarray:
        """uint8, (T, H, W), all of these in one; where two meet, the later one, which is the lower number."""
        labels = np.zeros_like(like)
        size = (like.shape[1], like.shape[2])
        for prediction in predictions:
            expression = self._find_expression(prediction)
            if prediction.video_size not in (None, size):
                raise DatasetError(
                    f"the masks of {prediction.id!r} are {prediction.video_size[1]} x {prediction.video_size[0]}"
                    f" pixels, its ground truth is {size[1]} x {size[0]}: get the video as it was published"
                )
            for frame, mask in enumerate(iterate_saved_masks(expression, prediction, size)):
                labels[frame][mask > 0] = expression.entry["object"]
        return labels

    def _read_labels(self, video: str) -> np.ndarray:
        """uint8, (T, H, W), object numbers of the target. Raises DatasetError."""
        with name_file(self.masks / video, SOURCE.name):
            frames = next(expression.frames for expression in self.expressions if expression.video == video)
            return np.stack(list(jf.read_masks([self.masks / video / f"{path.stem}.png" for path in frames])))

    def build_submission(self, predictions: Sequence[Prediction]) -> dict[str, bytes]:
        written: dict[str, bytes] = {}
        for (video, annotator), some in self._group_by_part(predictions).items():
            labels = self._draw_part(some, self._read_labels(video))
            frames = next(expression.frames for expression in self.expressions if expression.video == video)
            for path, frame in zip(frames, labels, strict=True):
                written[f"anno_{annotator}/{video}/{path.stem}.png"] = encode_png(frame)
        return written

    def score_file(self, predictions: Path) -> Mapping[str, float]:
        videos = dict.fromkeys(expression.video for expression in self.expressions)
        found = []
        for annotator in range(ANNOTATORS):
            folder = predictions / f"anno_{annotator}"
            if not folder.is_dir():
                raise ScoringError(f"there is no folder {folder}; expected one for each of {ANNOTATORS} annotators")
            for video in jf.read_folders(self.masks, folder, names=list(videos), skip_first_and_last=False):
                found.append(((video[0], annotator), dict(jf.compute_object_curves(video, "unsupervised"))))
        return _summarize_parts(found)

    def _find_expression(self, prediction: Prediction) -> Expression:
        expression: Expression = get_target(self._by_id, prediction)
        return expression

    @cached_property
    def _by_id(self) -> dict[str, Expression]:
        return {expression.id: expression for expression in self.expressions}


def _get_part(expression: Expression) -> Part:
    return expression.video, expression.entry["annotator"]


def _summarize_parts(parts: Sequence[tuple[Part, Mapping[int, Curves]]]) -> dict[str, float]:
    """The means over annotators of the numbers over all their objects."""
    scores = []
    for annotator in sorted({part[1] for part, _ in parts}):
        mine = [curves for part, curves in parts if part[1] == annotator]
        objects = {(str(place), number): curves for place, of in enumerate(mine) for number, curves in of.items()}
        scores.append(jf.summarize_curves(objects, "unsupervised"))
    numbers = {name: float(np.mean([score[name] for score in scores])) for name in ("jf", "j", "f")}
    return numbers | {"objects": float(sum(score["objects"] for score in scores))}
