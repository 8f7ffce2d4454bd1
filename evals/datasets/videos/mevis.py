"""MeViS: expressions about how objects move, each of which means one or several of them.

`valid_u/meta_expressions.json` with the masks in `mask_dict.json` (annotation id -> run lengths or null per frame) and
the frames in `JPEGImages/VIDEO/00000.jpg`:

    {"videos": {"c1c4a4e1f0b2": {"frames": ["00000", "00001"], "vid_id": 0, "expressions": {
        "0": {"exp": "the bird flying away", "obj_id": [1], "anno_id": [17]}}}}}

Predictions: a folder or zip file with `VIDEO/EXPRESSION/FRAME.png`, not black where the objects are, as the server
takes it for `valid`, whose masks are not published.
"""

from collections.abc import Iterator
from pathlib import Path

from evals.datasets.formats.expressions import (
    Expression,
    ExpressionDataset,
    FrameMasks,
    OverlapReferee,
    list_frame_paths,
    read_videos,
)
from evals.datasets.formats.files import DataSource, name_file
from evals.datasets.formats.mask_dict import MaskDict
from evals.datasets.formats.mask_files import MaskTree
from evals.datasets.loading import dataset_loader
from evals.errors import DatasetError, NoTruthError, ScoringError
from evals.metrics.inputs.entries import get_field, require_object

SOURCE = DataSource(
    "MeViS",
    "codalab.lisn.upsaclay.fr/competitions/15094, as the README of github.com/henghuiding/MeViS says",
    "CC BY-NC-SA 4.0, for non-commercial research",
)
PUBLISHED = {"valid_u": 793, "valid": 2236, "train": 23051}
"""Expressions."""
SERVER = "codalab.lisn.upsaclay.fr/competitions/15094"


@dataset_loader(splits=PUBLISHED)
def load(data: Path, split: str) -> ExpressionDataset:
    """`data`: the folder that holds `valid_u/`, or that folder."""
    if split not in PUBLISHED:
        raise DatasetError(f"MeViS has the splits {', '.join(PUBLISHED)}, not {split!r}")
    file = SOURCE.find_first(
        [folder / "meta_expressions.json" for folder in (data / split, data)], f"the file {split}/meta_expressions.json"
    )
    root = file.parent
    frames = SOURCE.find_first([root / "JPEGImages"], f"the frames of {split}")
    masks = None if split == "valid" else SOURCE.find_first([root / "mask_dict.json"], f"the masks of {split}")
    with name_file(file, SOURCE.name):
        expressions = list(_build_expressions(file, frames))
    return ExpressionDataset(
        "mevis",
        SOURCE,
        split,
        root,
        [file] if masks is None else [file, masks],
        expressions,
        OverlapReferee(
            _refuse_truth if masks is None else MaskDict(SOURCE, masks).read_truth, judge_missing, masks is not None
        ),
        PUBLISHED[split],
        ("Convention: MeViS; all frames count, and those without an object are right where nothing is predicted.",),
    )


def _build_expressions(file: Path, frames: Path) -> Iterator[Expression]:
    for name, video in read_videos(SOURCE, file).items():
        paths = list_frame_paths(video, name, frames)
        entries = require_object(get_field(video, "expressions", f"video {name!r}"), f"`expressions` of {name!r}")
        for number, entry in entries.items():
            id = f"{name}/{number}"
            targets = len(entry.get("anno_id", ())) if isinstance(entry, dict) else 0
            yield Expression(
                id,
                str(get_field(entry, "exp", f"expression {id!r}")),
                name,
                paths,
                id,
                entry,
                slices={"objects": "one" if targets == 1 else "several"} if targets else {},
            )


def _refuse_truth(expression: Expression) -> FrameMasks:
    raise NoTruthError(f"the masks of MeViS valid are not published; {SERVER} scores predictions/masks.zip")


def judge_missing(expression: Expression, tree: MaskTree) -> tuple[float, float]:
    """Nothing of a video counts as 0, as in the official code, which stops at a single expression that is missing."""
    if tree.has_folder(expression.video):
        raise ScoringError(f"there is no folder {expression.folder} in {tree.path}")
    return 0.0, 0.0
