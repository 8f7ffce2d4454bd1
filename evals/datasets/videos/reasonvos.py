"""ReasonVOS: expressions that need reasoning, in videos from MOSE, MeViS, VIPSeg and BURST.

`meta_expressions.json`, the frames in `JPEGImages/VIDEO/00000.jpg`, and for each object a folder of masks, not black
where it is, `Annotations/SOURCE_VIDEO_OBJECT/00000.png`:

    {"videos": {"ab12": {"source": "MeViS", "frames": ["00000"], "expressions": [
        {"obj_id": 1, "exp_id": 0, "exp_text": "what could wake a sleeper?", "is_sent": true}]}}}

Predictions: a folder or zip file with `SOURCE_VIDEO_OBJECT/EXPRESSION/00000.png`, a mask for each of the annotated.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

from evals.datasets.formats.expressions import (
    Expression,
    ExpressionDataset,
    FrameMasks,
    OverlapReferee,
    read_videos,
)
from evals.datasets.formats.files import DataSource, name_file
from evals.datasets.formats.mask_files import MaskTree
from evals.datasets.loading import dataset_loader
from evals.errors import DatasetError, ScoringError
from evals.metrics import jf
from evals.metrics.inputs.entries import get_field, require_list
from sam3_tool.masks import rle

SOURCE = DataSource(
    "ReasonVOS",
    "the Google Drive file that BENCHMARK.md of github.com/showlab/VideoLISA names",
    "for non-commercial research; the videos are under the licences of BURST (MIT), VIPSeg, MOSE and MeViS"
    " (CC BY-NC-SA 4.0)",
)
SPLIT = "test"


@dataset_loader(splits=(SPLIT,))
def load(data: Path, split: str = SPLIT) -> ExpressionDataset:
    """`data`: the folder ReasonVOS."""
    if split != SPLIT:
        raise DatasetError(f"ReasonVOS has the split {SPLIT}, not {split!r}")
    file = SOURCE.find_first([data / "meta_expressions.json"], "the file meta_expressions.json")
    frames = SOURCE.find_first([data / "JPEGImages"], "the frames in JPEGImages")
    masks = SOURCE.find_first([data / "Annotations"], "the masks in Annotations")
    with name_file(file, SOURCE.name):
        expressions = list(_build_expressions(file, frames, masks))
    return ExpressionDataset(
        "reasonvos",
        SOURCE,
        split,
        data,
        [file],
        expressions,
        OverlapReferee(_make_reader(masks), _refuse_missing),
        notes=("Convention: VideoLISA's eval_reason_vos.py, which is MeViS'; all annotated frames count.",),
    )


def _build_expressions(file: Path, frames: Path, masks: Path) -> Iterator[Expression]:
    for name, video in read_videos(SOURCE, file).items():
        images = frames / name
        if not images.is_dir():
            raise SOURCE.build_missing_error(f"{frames} has no folder {name}", "the frames of all videos")
        paths = tuple(sorted(path for path in images.glob("*.jpg") if not path.name.startswith(".")))
        origin = get_field(video, "source", f"video {name!r}")
        entries = require_list(get_field(video, "expressions", f"video {name!r}"), f"`expressions` of {name!r}")
        for place, entry in enumerate(entries):
            said = f"expression {place} of video {name!r}"
            number, object_id, text = (get_field(entry, key, said) for key in ("exp_id", "obj_id", "exp_text"))
            key = f"{origin}_{name}_{object_id}"
            names = tuple(path.stem for path in jf.list_frames(masks / key))
            if not names or not {*names} <= {path.stem for path in paths}:
                raise ScoringError(f"{said}: {masks / key} must hold masks of frames of the video, found {len(names)}")
            length = "sentence" if entry.get("is_sent") else "phrase"
            folder = f"{key}/{number}"
            yield Expression(folder, str(text), name, paths, folder, entry, names, slices={"length": length})


def _make_reader(masks: Path) -> Callable[[Expression], FrameMasks]:
    def read_truth(expression: Expression) -> FrameMasks:
        folder = masks / expression.folder.rpartition("/")[0]
        with name_file(folder, SOURCE.name):
            paths = [folder / f"{name}.png" for name in expression.names]
            return [[rle.encode_mask(labels > 0)] for labels in jf.read_masks(paths)]

    return read_truth


def _refuse_missing(expression: Expression, tree: MaskTree) -> tuple[float, float]:
    """The official code leaves out what is missing, which makes its numbers those of another benchmark."""
    raise ScoringError(f"there is no folder {expression.folder} in {tree.path}; every expression needs its masks")
