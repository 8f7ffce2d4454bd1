"""SA-Co Gold and Silver: all instances of a noun phrase, in images that hold some or none.

`gold_metaclip_merged_a_release_test.json`, and `_b_` and `_c_` of the two other annotators; Silver has one file a
subset, `silver_geode_merged_test.json`. An entry of `images` is an image with a noun phrase; boxes and areas are
shares of the image:

    {"images": [{"id": 10000000, "file_name": "1/100001/x.jpeg", "text_input": "a white mug", "width": 640,
                 "height": 480, "queried_category": "3", "is_instance_exhaustive": 1, "is_pixel_exhaustive": 1}],
     "annotations": [{"id": 1, "image_id": 10000000, "category_id": 1, "bbox": [0.1, 0.2, 0.25, 0.5], "area": 0.11,
                      "segmentation": {"size": [480, 640], "counts": "..."}, "iscrowd": 0, "source": "manual"}],
     "categories": [{"id": 1, "name": "object"}]}

Asked, and scored, are the pairs that every annotator marked as exhaustive. Phrases go to SAM 3 directly.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from evals.bootstrap import Measure
from evals.datasets.formats.files import (
    DataSource,
    hash_files,
    make_image_opener,
    memoize_by_prediction,
    name_file,
    to_json,
)
from evals.datasets.formats.one_mask import check_mask_sizes, get_target
from evals.errors import DatasetError, ScoringError
from evals.metrics import cgf1
from evals.metrics.cgf1 import Annotator, IouType, OutcomePool, PairOutcome
from evals.metrics.inputs.entries import Entry, get_field, read_json, require_list
from evals.metrics.inputs.segments import read_image_size, to_rle
from evals.samples import DatasetInfo, Prediction, Sample, Scores
from sam3_tool.masks import rle

GOLD_SOURCE = DataSource(
    "SA-Co/Gold",
    "huggingface.co/datasets/facebook/SACo-Gold, and the images as scripts/eval/gold of"
    " github.com/facebookresearch/sam3 says",
    "SAM License; the images have their own",
)
SILVER_SOURCE = DataSource(
    "SA-Co/Silver",
    "huggingface.co/datasets/facebook/SACo-Silver, and the images as scripts/eval/silver of"
    " github.com/facebookresearch/sam3 says",
    "SAM License; the images have those of their ten sources",
)
GOLD_SUBSETS = ("metaclip", "sa1b", "crowded", "fg_food", "fg_sports_equipment", "attributes", "wiki_common")
SILVER_SUBSETS = (
    "bdd100k",
    "droid",
    "ego4d",
    "fathomnet",
    "food_rec",
    "geode",
    "inaturalist",
    "nga_art",
    "sav",
    "yt1b",
)
SUBMISSION = "coco_predictions_segm.json"
DIGITS = 5
"""To which boxes and scores of the official prediction files are rounded."""


def load_gold(data: Path, split: str, *, pictures: str | Path | None = None) -> "SaCo":
    """`split`: a subset; `data`: the annotators' folder; `pictures`: where the files of `file_name` lie."""
    if split not in GOLD_SUBSETS:
        raise DatasetError(f"SA-Co/Gold has the subsets {', '.join(GOLD_SUBSETS)}, and all, not {split!r}")
    return _load_subset(
        "saco-gold",
        GOLD_SOURCE,
        data,
        split,
        [f"gold_{split}_merged_{annotator}_release_test.json" for annotator in "abc"],
        pictures,
    )


def load_silver(data: Path, split: str, *, pictures: str | Path | None = None) -> "SaCo":
    """`split`: a subset, as its file is called, e.g. one of SILVER_SUBSETS; `data` and `pictures` as for Gold."""
    return _load_subset("saco-silver", SILVER_SOURCE, data, split, [f"silver_{split}_merged_test.json"], pictures)


def _load_subset(
    name: str, source: DataSource, data: Path, split: str, files: Sequence[str], image_folder: str | Path | None
) -> "SaCo":
    folder = source.find_first([data / files[0], data / "gt-annotations" / files[0]], f"the file {files[0]}").parent
    paths = [source.find_first([folder / file], f"the files of all annotators: {', '.join(files)}") for file in files]
    annotators = [source.parse_json(path, partial(Annotator.from_json, name=f"ground truth {path}")) for path in paths]
    try:
        pairs = cgf1.find_exhaustive_pairs(annotators)
    except ScoringError as error:
        raise source.build_broken_error(paths[0], f"is not as published ({error})") from error
    by_default = [data / "metaclip-images", data / "sa1b-images", data / "images", data]
    places = source.find_image_folder(
        [Path(image_folder)] if image_folder else by_default, str(annotators[0].images[pairs[0]].get("file_name"))
    )
    with name_file(paths[0], source.name):
        samples = [_build_sample(annotators[0], pair, places) for pair in pairs]
    return SaCo(name, source, split, paths, annotators, samples)


def _build_sample(annotator: Annotator, pair: Any, folder: Path) -> Sample:
    entry, name = annotator.images[pair], f"image {pair!r}"
    file_name = str(get_field(entry, "file_name", name))
    return Sample(
        id=str(pair),
        query=str(get_field(entry, "text_input", name)).strip(),
        source=file_name,
        open_image=make_image_opener(folder / file_name),
        group=file_name,
        direct=True,
        target=lambda: _merge_targets(annotator, pair),
    )


def _merge_targets(annotator: Annotator, pair: Any) -> np.ndarray:
    """bool, (H, W): all that this annotator found."""
    image = annotator.images[pair]
    whole = np.zeros(read_image_size(image, f"{annotator.name} image {pair!r}"), bool)
    for entry in annotator.get_targets(pair):
        name = f"{annotator.name} annotation {entry['id']!r}"
        mask = to_rle(get_field(entry, "segmentation", name), image, lambda name=name: name)  # type: ignore[misc]
        if mask.size != whole.shape:
            raise DatasetError(f"{name}: its mask is {mask.size}, its image {whole.shape}")
        whole |= rle.decode_mask(mask)
    return whole


@dataclass(frozen=True, eq=False)
class SaCo:
    name: str
    source: DataSource
    split: str
    files: Sequence[Path]
    annotators: Sequence[Annotator]
    loaded_samples: Sequence[Sample]

    version = "1"

    def list_samples(self) -> Sequence[Sample]:
        return self.loaded_samples

    def collect_info(self) -> DatasetInfo:
        listed = len(self.annotators[0].listing)
        return DatasetInfo(
            samples=len(self.loaded_samples),
            images=len({sample.group for sample in self.loaded_samples}),
            hash=hash_files(self.files, self.files[0].parent),
            published=None,
            licence=self.source.licence,
            source=self.source.location,
            notes=(
                f"{listed} pairs are listed; asked are the {len(self.loaded_samples)} exhaustive ones of every"
                " annotator.",
                'Published averages are plain means over the subsets: split "all".',
            ),
        )

    @cached_property
    def _pairs_by_id(self) -> Mapping[str, Any]:
        return {str(pair): pair for pair in cgf1.find_exhaustive_pairs(self.annotators)}

    def build_submission(self, predictions: Sequence[Prediction]) -> dict[str, bytes]:
        """A list of `{image_id, category_id, segmentation, score, bbox, area}`; boxes x, y, w, h as shares."""
        entries = [entry for prediction in predictions for entry in self._build_entries(prediction)]
        return {SUBMISSION: to_json(entries)}

    def _build_entries(self, prediction: Prediction) -> Iterator[dict[str, Any]]:
        pair = get_target(self._pairs_by_id, prediction)
        height, width = read_image_size(self.annotators[0].images[pair], f"{self.annotators[0].name} image {pair!r}")
        check_mask_sizes(prediction, height, width)
        areas = rle.compute_areas(prediction.masks).tolist()
        for mask, box, score, area in zip(prediction.masks, prediction.boxes, prediction.scores, areas, strict=True):
            x0, y0, x1, y1 = box
            shares = (x0 / width, y0 / height, (x1 - x0) / width, (y1 - y0) / height)
            yield {
                "image_id": pair,
                "category_id": 1,
                "segmentation": mask.to_coco(),
                "score": round(score, DIGITS),
                "bbox": [round(share, DIGITS) for share in shares],
                "area": area / (width * height),
            }

    @cached_property
    def _judge_predictions(self) -> Callable[[Sequence[Prediction]], list[PairOutcome]]:
        return memoize_by_prediction(
            lambda predictions: [self._judge_prediction(prediction, "segm") for prediction in predictions]
        )

    def _judge_prediction(self, prediction: Prediction, iou_type: IouType) -> PairOutcome:
        pair = get_target(self._pairs_by_id, prediction)
        answers: list[tuple[int, Entry]] = list(enumerate(self._build_entries(prediction)))
        return cgf1.judge_pair(pair, answers, self.annotators, iou_type)

    def score_file(self, predictions: Path) -> Mapping[str, float]:
        """Score masks; boxes too, where every prediction has one."""
        files = list(self.files)
        scores = cgf1.score(files, predictions)
        metrics = {name: value for name, value in scores.items() if name != "official"}
        entries = require_list(read_json(predictions, "predictions"), "predictions")
        if not all(isinstance(entry, dict) and "bbox" in entry for entry in entries):
            return metrics
        return metrics | _prefix_box_scores(cgf1.score(files, entries, "bbox"))

    def score(self, predictions: Sequence[Prediction]) -> Scores:
        """Score masks, and boxes too: their numbers begin with `bbox`, e.g. `bbox cgF1`."""
        outcomes = self._judge_predictions(predictions)
        metrics = cgf1.select_headline(cgf1.compute_official_numbers(outcomes), len(outcomes))
        of_boxes = cgf1.compute_official_numbers(
            [self._judge_prediction(prediction, "bbox") for prediction in predictions]
        )
        more = _prefix_box_scores(cgf1.select_headline(of_boxes, len(outcomes)))
        alone = {p.id: _score_alone(outcome) for p, outcome in zip(predictions, outcomes, strict=True)}
        return Scores("cgF1", metrics | more, alone)

    def build_measure(self, predictions: Sequence[Prediction]) -> Measure:
        pool = OutcomePool(self._judge_predictions(predictions))
        return lambda drawn: pool.compute_cgf1(np.bincount(np.asarray(drawn, int), minlength=len(predictions)))


def _prefix_box_scores(headline: Mapping[str, float]) -> dict[str, float]:
    return {f"bbox {name}": headline[name] for name in ("cgF1", "pmF1", "IL_MCC")}


def _score_alone(outcome: PairOutcome) -> float:
    """A pair's own number: its mean F1; without targets, whether nothing was predicted."""
    return float(outcome.f1.mean()) if outcome.targets else float(outcome.is_empty)
