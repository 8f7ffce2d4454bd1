"""ReVOS: expressions that refer to objects of a video, or that need reasoning to find them.

`meta_expressions_valid_.json`, the masks in `mask_dict.json` (annotation id -> run lengths or null per frame), those of
all objects of a video together in `mask_dict_foreground.json`, and the frames in `JPEGImages/VIDEO/00000.jpg`:

    {"videos": {"UVO/ab12": {"frames": ["00000"], "height": 720, "width": 1280, "expressions": {
        "0": {"exp": "which animal would win the race?", "obj_id": [1], "anno_id": [17], "type_id": 1}}}}}

`type_id` is 0 for an expression that refers, 1 for one that needs reasoning.

Predictions: a folder or zip file with `VIDEO/EXPRESSION/FRAME.png`, 255 where the objects are.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from evals.datasets.formats.expressions import (
    Expression,
    ExpressionDataset,
    FrameMasks,
    count_annotations,
    list_frame_paths,
    read_videos,
)
from evals.datasets.formats.files import DataSource, name_file
from evals.datasets.formats.mask_dict import MaskDict
from evals.datasets.formats.mask_files import MaskTree
from evals.datasets.loading import dataset_loader
from evals.errors import DatasetError, ScoringError
from evals.metrics import revos
from evals.metrics.inputs.entries import get_field, require_list, require_object
from evals.metrics.inputs.segments import to_rle
from evals.metrics.revos import ExpressionScore
from sam3_tool.masks import rle

SOURCE = DataSource(
    "ReVOS",
    "the OneDrive folder that the README of github.com/cilinyan/ReVOS-api names",
    "CC BY-NC-SA 4.0, for non-commercial research; the videos have their own",
)
SPLITS = ("valid", "train")


@dataset_loader(splits=SPLITS)
def load(data: Path, split: str) -> ExpressionDataset:
    """`data`: the folder ReVOS."""
    if split not in SPLITS:
        raise DatasetError(f"ReVOS has the splits {', '.join(SPLITS)}, not {split!r}")
    file, masks, foreground = (
        SOURCE.find_first([data / name], f"the file {name}")
        for name in (f"meta_expressions_{split}_.json", "mask_dict.json", "mask_dict_foreground.json")
    )
    frames = SOURCE.find_first([data / "JPEGImages"], "the frames in JPEGImages")
    with name_file(file, SOURCE.name):
        expressions = list(_build_expressions(file, frames))
    return ExpressionDataset(
        "revos",
        SOURCE,
        split,
        data,
        [file, masks, foreground],
        expressions,
        RevosReferee(MaskDict(SOURCE, masks), foreground),
        notes=(
            "Convention: VISA's eval_revos.py; the overall numbers are the means of both kinds, whatever their sizes.",
        ),
    )


def _build_expressions(file: Path, frames: Path) -> Iterator[Expression]:
    for name, video in read_videos(SOURCE, file).items():
        paths = list_frame_paths(video, name, frames)
        entries = require_object(get_field(video, "expressions", f"video {name!r}"), f"`expressions` of {name!r}")
        for number, entry in entries.items():
            id = f"{name}/{number}"
            kind = revos.KINDS.get(get_field(entry, "type_id", f"expression {id!r}"), "other")
            text = str(get_field(entry, "exp", f"expression {id!r}"))
            yield Expression(id, text, name, paths, id, entry, slices={"kind": kind})


@dataclass(frozen=True, eq=False)
class RevosReferee:
    """J&F, accuracy and robustness, as VISA has them."""

    masks: MaskDict
    foreground_path: Path

    headline = "jf"
    is_known = True

    def read_truth(self, expression: Expression) -> FrameMasks:
        return self.masks.read_truth(expression)

    def judge(self, expression: Expression, size: tuple[int, int], masks: Iterable[np.ndarray]) -> ExpressionScore:
        targets = (count_annotations(frame, size) for frame in self.read_truth(expression))
        return revos.score_expression(zip(masks, targets, self._read_foreground(expression, size), strict=True))

    def judge_missing(self, expression: Expression, tree: MaskTree) -> ExpressionScore:
        return revos.MISSED

    def summarize(self, judged: Sequence[tuple[Expression, ExpressionScore]]) -> Mapping[str, float]:
        scores = revos.summarize_expressions([(expression.entry["type_id"], numbers) for expression, numbers in judged])
        return {name: value for name, value in scores.items() if name != "official"}

    def rate(self, numbers: ExpressionScore) -> float:
        return 100 * numbers.jf

    def _read_foreground(self, expression: Expression, size: tuple[int, int]) -> Iterator[np.ndarray]:
        with name_file(self.foreground_path, SOURCE.name):
            video = f"video {expression.video!r}"
            track = require_list(
                get_field(get_field(self._foregrounds, expression.video, "the file"), "masks_rle", video), video
            )
            if len(track) < len(expression.frames):
                raise ScoringError(f"{video} has masks for {len(track)} frames, expected {len(expression.frames)}")
            for place, mask in enumerate(track[: len(expression.frames)]):
                found = to_rle(mask, {}, partial(str, f"{video}, frame {place}"))
                if found.size != size:
                    raise ScoringError(f"{video}, frame {place}: the mask is {found.size}, expected {size}")
                yield rle.decode_mask(found).astype(np.uint8)

    @cached_property
    def _foregrounds(self) -> Mapping[str, Any]:
        return SOURCE.parse_json(self.foreground_path, lambda content: require_object(content, "the file"))
