"""gIoU and cIoU of one mask per sample, and ReasonSeg's masks from its annotation files.

Source: dvlab-research/LISA `train_ds.py: validate()`, `utils/utils.py: intersectionAndUnionGPU, AverageMeter` and
`utils/data_processing.py: get_mask_from_json`. Ignored pixels are taken out of both masks; then

- gIoU = sum(I / (U + 1e-5), plus 1 where U is 0) / (n + 1e-5)
- cIoU = sum(I) / (sum(U) + 1e-10)

in float32 and in order, sums too, as officially: compare at 1e-5. Three perfect samples therefore give 0.9999967.

Two other conventions, whose numbers are not comparable with LISA's, know no ignored pixels: what is not 0 is target.

- "hf-bool", of the re-uploaded data sets and VisionReasoner's `calculate_iou.py`: no constants, an empty union gives 0.
- "converseg", of AadSah/ConverSeg `eval.py`: gIoU = mean of I / (U + 1e-10), and 1 where U is 0; cIoU = sum(I) /
  (sum(U) + 1e-10), in float64.
"""

import json
from collections.abc import Iterable, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from evals.errors import ScoringError
from evals.metrics.inputs.entries import Entry, get_field, require_list, require_object
from evals.metrics.inputs.outlines import fill_polygon
from evals.metrics.inputs.sorting import sort_like_numpy
from sam3_tool.masks.checks import check_coordinates, shorten_value
from sam3_tool.system.files import decode_text

Convention = Literal["lisa", "hf-bool", "converseg"]
IGNORED = 255
"""Target value of pixels that are neither target nor background."""


def score(pairs: Iterable[tuple[np.ndarray, np.ndarray]], *, convention: Convention = "lisa") -> dict[str, float]:
    """`{"giou", "ciou", "n"}`, as fractions, of (prediction bool (H, W), target uint8 (H, W) of 0, 1, 255 = ignored).

    Two empty masks score 1 (in "hf-bool": 0), an empty prediction of a real target scores 0: give an empty mask for a
    sample that failed. No pairs, or masks of different sizes, raise ScoringError.

    >>> whole = np.ones((10, 10), np.uint8)
    >>> scores = score([(whole > 0, whole), (whole > 1, whole), (whole > 1, whole * 0)])
    >>> round(scores["giou"], 4), round(scores["ciou"], 4), scores["n"]
    (0.6667, 0.5, 3)
    """
    if convention not in get_args(Convention):
        raise ScoringError(f"`convention` must be 'lisa', 'hf-bool' or 'converseg', found {convention!r}")
    return score_counts(
        [count_pixels(*_check_masks(pair, index), convention=convention) for index, pair in enumerate(pairs)],
        convention=convention,
    )


def score_counts(
    counted: Sequence[tuple[int, int]] | np.ndarray, *, convention: Convention = "lisa"
) -> dict[str, float]:
    """Score as `score` does, from the pixels of intersection and union of every sample, (n, 2); see `count_pixels`."""
    if not len(counted):
        raise ScoringError("no pairs of masks: gIoU and cIoU are means over at least one")
    compute = {"lisa": _score_lisa, "hf-bool": _score_hf_bool, "converseg": _score_converseg}[convention]
    giou, ciou = compute(np.asarray(counted))
    return {"giou": giou, "ciou": ciou, "n": len(counted)}


def _check_masks(pair: tuple[np.ndarray, np.ndarray], index: int) -> tuple[np.ndarray, np.ndarray]:
    prediction, target = (np.asarray(mask) for mask in pair)
    if prediction.shape != target.shape or prediction.ndim != 2:
        raise ScoringError(
            f"pair {index}: prediction is {prediction.shape}, target is {target.shape}: expected masks of one size"
        )
    return prediction > 0, target


def count_pixels(prediction: np.ndarray, target: np.ndarray, *, convention: Convention = "lisa") -> tuple[int, int]:
    """Pixels of intersection and union; masks as `score` takes them, of one size."""
    if convention == "lisa":
        # a target value other than 0, 1 and 255 is in no class: only the prediction counts there
        prediction, target = prediction & (target != IGNORED), target == 1
    else:
        target = target != 0
    return int((prediction & target).sum()), int((prediction | target).sum())


def _score_lisa(counts: np.ndarray) -> tuple[float, float]:
    """`counts`: int64, (n, 2)."""
    intersections, unions = counts.astype(np.float32).T
    ious = intersections / (unions + np.float32(1e-5)) + (unions == 0).astype(np.float32)
    giou = _sum_in_order(ious) / np.float32(len(counts) + 1e-5)
    return float(giou), float(_sum_in_order(intersections) / (_sum_in_order(unions) + np.float32(1e-10)))


def _sum_in_order(values: np.ndarray) -> Any:
    """float32: the sum, added up one by one as a meter does."""
    return np.cumsum(values, dtype=np.float32)[-1]


def _score_hf_bool(counts: np.ndarray) -> tuple[float, float]:
    intersections, unions = counts.T
    ious = np.divide(intersections, unions, out=np.zeros(len(counts)), where=unions > 0)
    return float(ious.mean()), float(intersections.sum() / max(unions.sum(), 1))


def _score_converseg(counts: np.ndarray) -> tuple[float, float]:
    intersections, unions = counts.T
    ious = np.where(unions == 0, 1.0, intersections / (unions + 1e-10))
    return float(np.mean(ious)), float(intersections.sum() / (unions.sum() + 1e-10))


def load_annotation(json_path: str | PathLike[str], height: int, width: int) -> tuple[np.ndarray, list[str], bool]:
    """(mask uint8 (H, W) out of 0, 1, 255; the texts, of which the first is asked; whether they are sentences).

    `height` and `width` are those of the image as `cv2.imread` gives it, turned by its EXIF orientation. Shapes are
    painted from the largest to the smallest with their outlines; those labelled "flag" are left out, those whose label
    has "ignore" in it become 255. Files are UTF-8, else cp1252. A broken one raises ScoringError.
    """
    name = str(json_path)
    file = require_object(_read_json_file(Path(json_path)), name)
    shapes = [
        _parse_shape(entry, name) for entry in require_list(get_field(file, "shapes", name), f"`shapes` of {name}")
    ]
    painted = [shape for shape in shapes if shape[0] != "flag"]
    mask = np.zeros((height, width), np.uint8)
    for label, points in _sort_largest_first(painted, mask.shape):
        mask[fill_polygon(points, *mask.shape)] = IGNORED if "ignore" in label else 1
    return mask, *_get_texts(file, name)


def load_texts(json_path: str | PathLike[str]) -> tuple[list[str], bool]:
    """The texts of an annotation file and whether they are sentences, without its mask. Raises ScoringError."""
    return _get_texts(require_object(_read_json_file(Path(json_path)), str(json_path)), str(json_path))


def _get_texts(file: Entry, name: str) -> tuple[list[str], bool]:
    texts, is_sentence = get_field(file, "text", name), get_field(file, "is_sentence", name)
    texts = [texts] if isinstance(texts, str) else texts
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise ScoringError(f"{name}: `text` must be a list of texts, found {shorten_value(texts)}")
    if is_sentence not in (True, False):
        raise ScoringError(f"{name}: `is_sentence` must be true or false, found {shorten_value(is_sentence)}")
    return texts, bool(is_sentence)


LabelledShape = tuple[str, np.ndarray]
"""(label in lower case, int64 (P, 2), x y of the corners)."""


def _parse_shape(entry: Entry, name: str) -> LabelledShape:
    label, points = (get_field(entry, key, f"a shape of {name}") for key in ("label", "points"))
    if not isinstance(label, str):
        raise ScoringError(f"{name}: `label` must be a text, found {shorten_value(label)}")
    return label.lower(), _parse_points(points, name)


def _read_json_file(path: Path) -> Any:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ScoringError(f"{path} cannot be read ({error.strerror})") from error
    for decode in (decode_text, lambda content: content.decode("cp1252")):
        try:
            return json.loads(decode(content))
        except (ValueError, RecursionError) as error:
            problem = error
    raise ScoringError(f"{path} is not JSON, in UTF-8 or cp1252 ({problem})")


def _sort_largest_first(shapes: Sequence[LabelledShape], size: tuple[int, int]) -> list[LabelledShape]:
    areas = [int(fill_polygon(points, *size).sum()) for _, points in shapes]
    return [shapes[index] for index in reversed(sort_like_numpy(areas))]


def _parse_points(points: Any, name: str) -> np.ndarray:
    """int64, (P, 2): the corners; coordinates are cut off, not rounded. Raises ScoringError."""
    try:
        if not isinstance(points, list) or not all(isinstance(point, list) and len(point) == 2 for point in points):
            raise ValueError("expected a list of [x, y]")
        return np.array(check_coordinates([side for point in points for side in point])).reshape(-1, 2).astype(np.int64)
    except ValueError as error:
        raise ScoringError(f"{name}: `points` {shorten_value(points)} are no polygon ({error})") from error
