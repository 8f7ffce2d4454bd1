"""Ref-YouTube-VOS: expressions about one object of a video each; a server scores the split valid.

`meta_expressions/valid/meta_expressions.json` lists the videos of valid and of test; those in
`meta_expressions/test/meta_expressions.json` are left out. The frames lie in `valid/JPEGImages/VIDEO/00000.jpg`:

    {"videos": {"0062f687f1": {"frames": ["00000", "00005"], "expressions": {
        "0": {"exp": "a person on the left", "obj_id": "1"}}}}}

The masks of train lie in `train/Annotations/VIDEO/00000.png`, with object numbers.

Predictions: a folder or zip file with `Annotations/VIDEO/EXPRESSION/FRAME.png`, as the server takes it.
"""

from collections.abc import Callable, Iterator
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
from evals.datasets.loading import dataset_loader
from evals.datasets.videos.mevis import judge_missing
from evals.errors import DatasetError, NoTruthError
from evals.metrics import jf
from evals.metrics.inputs.entries import get_field, require_object
from sam3_tool.masks import rle

SOURCE = DataSource(
    "Ref-YouTube-VOS",
    "competitions.codalab.org/competitions/29139, arranged as docs/data.md of github.com/wjn922/ReferFormer says",
    "as the page of its competition says; the videos have their own",
)
PUBLISHED = {"valid": 834, "train": None}
"""Expressions."""


@dataset_loader(splits=PUBLISHED)
def load(data: Path, split: str) -> ExpressionDataset:
    """`data`: the folder that holds `meta_expressions/`, `valid/` and `train/`."""
    if split not in PUBLISHED:
        raise DatasetError(f"Ref-YouTube-VOS has the splits {', '.join(PUBLISHED)}, not {split!r}")
    metas = {
        part: data / "meta_expressions" / part / "meta_expressions.json"
        for part in ((split, "test") if split == "valid" else (split,))
    }
    for part, file in metas.items():
        SOURCE.find_first([file], f"the expressions of {part}")
    frames = SOURCE.find_first([data / split / "JPEGImages"], f"the frames of {split}")
    masks = None if split == "valid" else SOURCE.find_first([data / split / "Annotations"], f"the masks of {split}")
    others = read_videos(SOURCE, metas["test"]) if "test" in metas else {}
    with name_file(metas[split], SOURCE.name):
        expressions = list(_build_expressions(metas[split], frames, set(others)))
    return ExpressionDataset(
        "ref-youtube-vos",
        SOURCE,
        split,
        data,
        list(metas.values()),
        expressions,
        OverlapReferee(_refuse_truth if masks is None else _make_reader(masks), judge_missing, masks is not None),
        PUBLISHED[split],
        ("Only valid is published about; there is no official code for other splits: theirs is MeViS' convention.",),
        within="Annotations",
    )


def _build_expressions(file: Path, frames: Path, others: set[str]) -> Iterator[Expression]:
    for name, video in sorted(read_videos(SOURCE, file).items()):
        if name in others:
            continue
        paths = list_frame_paths(video, name, frames)
        entries = require_object(get_field(video, "expressions", f"video {name!r}"), f"`expressions` of {name!r}")
        for number, entry in entries.items():
            id = f"{name}/{number}"
            yield Expression(id, str(get_field(entry, "exp", f"expression {id!r}")), name, paths, id, entry)


def _refuse_truth(expression: Expression) -> FrameMasks:
    raise NoTruthError(
        "the masks of Ref-YouTube-VOS valid are not published; its server scores predictions/masks.zip:"
        " competitions.codalab.org/competitions/29139"
    )


def _make_reader(masks: Path) -> Callable[[Expression], FrameMasks]:
    def read_truth(expression: Expression) -> FrameMasks:
        with name_file(masks / expression.video, SOURCE.name):
            number = int(get_field(expression.entry, "obj_id", expression.id))
            paths = [masks / expression.video / f"{frame.stem}.png" for frame in expression.frames]
            return [[rle.encode_mask(labels == number)] for labels in jf.read_masks(paths)]

    return read_truth
