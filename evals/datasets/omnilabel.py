"""OmniLabel: boxes for every description in an image's own label space.

`dataset_all_val_v0.1.3.json`, with the images in folders beside it (`coco/`, `object365/`, `openimagesv5/`):

    {"images": [{"id": 7, "file_name": "coco/000000000139.jpg"}],
     "descriptions": [{"id": 3, "text": "the cup in front", "image_ids": [7],
                       "anno_info": {"type": "object_description", "orig_id": 12}}],
     "annotations": [{"id": 1, "image_id": 7, "bbox": [10.0, 20.0, 30.0, 40.0], "description_ids": [3], "iscrowd": 0}]}

A sample is an image with one description of its label space. Plain categories go to SAM 3 directly, as in the paper;
only descriptions are asked of the agent.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from evals.bootstrap import Measure
from evals.datasets.formats.files import DataSource, hash_files, make_image_opener, memoize_by_prediction, to_json
from evals.datasets.formats.one_mask import get_target
from evals.datasets.loading import dataset_loader
from evals.errors import DatasetError
from evals.metrics import omnilabel
from evals.metrics.omnilabel import Detection, GroundTruth, Pair, PairMatch, RankingPool, Target
from evals.samples import DatasetInfo, Prediction, Sample, Scores

SOURCE = DataSource(
    "OmniLabel",
    "www.omnilabel.org/dataset/download",
    "that of its download page for the annotations; the images are COCO's, Objects365's and Open Images'",
)
SPLITS = {"val": "all", "val-coco": "coco", "val-object365": "object365", "val-openimagesv5": "openimagesv5"}
"""Split -> the part of its file's name."""


@dataset_loader(splits=SPLITS)
def load(data: Path, split: str = "val", *, pictures: str | Path | None = None) -> "OmniLabel":
    """`data`: the annotation file or its folder; `pictures`: where `coco/` … lie, if not beside it or in `images/`."""
    if split not in SPLITS:
        raise DatasetError(f"OmniLabel has the splits {', '.join(SPLITS)}, not {split!r}")
    file = data if data.suffix == ".json" else _find_file(data, SPLITS[split])
    names, texts, version, truth = SOURCE.parse_json(file, _parse_file)
    if not truth.pairs:
        raise SOURCE.build_broken_error(file, "lists no description for any image")
    folders = [Path(pictures)] if pictures else [file.parent, file.parent / "images"]
    folder = SOURCE.find_image_folder(folders, names[truth.pairs[0].key[0]])
    asked = [_build_sample(pair, names, texts, folder, truth.targets.get(pair.key, ())) for pair in truth.pairs]
    return OmniLabel(split, file, version, truth, asked)


def _find_file(data: Path, source: str) -> Path:
    name = f"dataset_{source}_val_v0.1.3.json"
    others = sorted(data.glob(f"dataset_{source}_val_v*.json"))
    return SOURCE.find_first([data / name, *others], f"the annotation file {name}")


def _parse_file(content: Any) -> tuple[dict[Any, str], dict[Any, str], str, GroundTruth]:
    """File names by image id, texts by description id, the version, and what the metric keeps."""
    truth = omnilabel.load_truth(content)
    names = {entry["id"]: str(entry["file_name"]) for entry in content["images"]}
    texts = {entry["id"]: str(entry["text"]) for entry in content["descriptions"]}
    return names, texts, str(content.get("info", {}).get("version", "unknown")), truth


def _build_sample(
    pair: Pair, names: dict[Any, str], texts: dict[Any, str], folder: Path, targets: Sequence[Target]
) -> Sample:
    image, description = pair.key
    return Sample(
        id=_make_id(pair),
        query=texts[description].strip(),
        source=names[image],
        open_image=make_image_opener(folder / names[image]),
        group=str(image),
        slices={"source": names[image].split("/")[0], **_get_length_slice(pair)},
        direct=pair.kind == "C",
        target_boxes=[(x, y, x + w, y + h) for x, y, w, h in (target.bbox for target in targets)],
    )


def _make_id(pair: Pair) -> str:
    image, description = pair.key
    return f"{image}-{description}"


def _get_length_slice(pair: Pair) -> dict[str, str]:
    """Get the official length group of a description; empty for a category."""
    names = {"descr_s": "short (to 3 words)", "descr_m": "medium (4 to 8)", "descr_l": "long (from 9)"}
    found = [name for group, name in names.items() if omnilabel.GROUPS[group].has_pair(pair)]
    return {"length": found[0]} if found else {}


@dataclass(frozen=True, eq=False)
class OmniLabel:
    split: str
    file: Path
    release: str
    """Version of the annotation file."""
    truth: GroundTruth
    loaded_samples: Sequence[Sample]

    name = "omnilabel"
    version = "1"

    def list_samples(self) -> Sequence[Sample]:
        """In the order that breaks ties between equal scores: images by id, descriptions as in the file."""
        return self.loaded_samples

    def collect_info(self) -> DatasetInfo:
        direct = sum(sample.direct for sample in self.loaded_samples)
        return DatasetInfo(
            samples=len(self.loaded_samples),
            images=len({sample.group for sample in self.loaded_samples}),
            hash=hash_files([self.file], self.file.parent),
            published=None,
            licence=SOURCE.licence,
            source=SOURCE.location,
            notes=(
                f"Annotations of version {self.release}; published numbers are of {omnilabel.VERSION}.",
                f"{direct} samples are plain categories, which go to SAM 3 directly; slices count descriptions only.",
            ),
        )

    @cached_property
    def _pairs_by_id(self) -> dict[str, Pair]:
        return {_make_id(pair): pair for pair in self.truth.pairs}

    def build_submission(self, predictions: Sequence[Prediction]) -> dict[str, bytes]:
        """A list of `{image_id, bbox, description_ids, scores}`, boxes x, y, w, h in pixels."""
        entries = [entry for prediction in predictions for entry in self._build_entries(prediction)]
        return {f"omnilabel_{self.split}.json": to_json(entries)}

    def _build_entries(self, prediction: Prediction) -> Iterator[dict[str, Any]]:
        image, description = get_target(self._pairs_by_id, prediction).key
        for (x0, y0, x1, y1), score in zip(prediction.boxes, prediction.scores, strict=True):
            box = [x0, y0, x1 - x0, y1 - y0]
            yield {"image_id": image, "bbox": box, "description_ids": [description], "scores": [score]}

    @cached_property
    def _match_predictions(self) -> Callable[[Sequence[Prediction]], list[PairMatch]]:
        return memoize_by_prediction(
            lambda predictions: [self._match_prediction(prediction) for prediction in predictions]
        )

    def _match_prediction(self, prediction: Prediction) -> PairMatch:
        key = get_target(self._pairs_by_id, prediction).key
        found = [Detection(entry["bbox"], entry["scores"][0]) for entry in self._build_entries(prediction)]
        return omnilabel.match_pair(self.truth.targets.get(key, []), found)

    def score_file(self, predictions: Path) -> Mapping[str, float]:
        """The 13 official numbers of a file in the official format; `ap_descr` is the one that papers quote."""
        scores = omnilabel.score(self.file, predictions)
        return {"ap_descr": scores["ap_descr"], **scores}

    def score(self, predictions: Sequence[Prediction]) -> Scores:
        """The 13 official numbers, over the pairs that were asked."""
        matches = self._match_predictions(predictions)
        return Scores(
            "ap_descr",
            omnilabel.score_matches([self._pairs_by_id[prediction.id] for prediction in predictions], matches),
        )

    def build_measure(self, predictions: Sequence[Prediction]) -> Measure:
        """AP of descriptions. A pair that is drawn twice counts twice in its place of the ranking."""
        pairs = [self._pairs_by_id[prediction.id] for prediction in predictions]
        group = omnilabel.GROUPS["descr"]
        places = np.array([place for place, pair in enumerate(pairs) if group.has_pair(pair)], int)
        matches = self._match_predictions(predictions)
        pool = RankingPool([matches[place] for place in places])

        def measure_draw(drawn: Sequence[int]) -> float:
            return pool.compute_average_precision(np.bincount(np.asarray(drawn, int), minlength=len(pairs))[places])

        return measure_draw
