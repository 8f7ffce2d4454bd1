"""J&F of video object segmentation: region overlap J and boundary accuracy F, averaged.

Sources, which disagree where an object enters late, so that the convention must be named:

- "sav": facebookresearch/sam2 `sav_dataset/utils/sav_benchmark.py` (as hkchengrex/vos-benchmark): an object's frames
  count from the first in which it is in the target or the prediction; objects that are never in the target do not.
- "davis": davis2017-evaluation, semi-supervised: the objects are those of the first target frame and all their
  frames count, also those in which neither mask has the object (1).
- "unsupervised": davis2017-evaluation, unsupervised, as wjn922/ReferFormer has it for Ref-DAVIS17: as "davis", but
  every predicted object may be any of the target; those are paired by which J&F is highest. Void pixels count as
  nothing in either.
- "mevis": henghuiding/MeViS `tools/eval_mevis.py`, and showlab/VideoLISA's `eval_reason_vos.py`: one object a video,
  which is all that an expression means; all frames count.

J = intersection / union, 1 if both masks are empty. F = harmonic mean of the shares of either boundary that lie within
ceil(0.008 x diagonal) pixels of the other, 1 if both are empty. First and last frame are left out in "sav" and "davis".
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args

import cv2
import numpy as np
import PIL.Image
from scipy.optimize import linear_sum_assignment

from evals.errors import ScoringError

Convention = Literal["sav", "davis", "unsupervised", "mevis"]
Video = tuple[str, np.ndarray, np.ndarray]
"""(name, prediction, target): object numbers, integers (T, H, W), 0 = background; bool for one object."""
VOID = 255
MAX_PROPOSALS = 20
"""Objects that a prediction may have at most where they are paired."""
_BOUNDARY = 0.008


def score(
    videos: Iterable[Video], *, convention: Convention = "sav", skip_first_and_last: bool = True
) -> dict[str, Any]:
    """`jf`, `j`, `f` in percent, `objects` (how many), `per_object` {(name, number): (j, f)}, and `official`.

    `official` is what the code prints: for DAVIS J&F-Mean, J-Mean, J-Recall, J-Decay, F-Mean … as fractions. Masks of
    different sizes, no objects, and, for DAVIS, object numbers that the first frame lacks, raise ScoringError.
    `skip_first_and_last`: only said of "sav" and "davis".

    >>> still = np.ones((3, 8, 8), np.uint8)
    >>> score([("still", still, still)])["jf"]
    100.0
    """
    if convention not in get_args(Convention):
        known = ", ".join(map(repr, get_args(Convention)))
        raise ScoringError(f"`convention` must be one of {known}, found {convention!r}")
    return summarize_curves(
        {
            (video[0], number): curves
            for video in videos
            for number, curves in compute_object_curves(video, convention, skip_first_and_last=skip_first_and_last)
        },
        convention,
    )


def compute_object_curves(
    video: Video, convention: Convention, *, skip_first_and_last: bool = True
) -> Iterator[tuple[int, "Curves"]]:
    """J and F by frame of each object of a video, by its number. Raises ScoringError as `score` does."""
    name, prediction, target = _check_shapes(video)
    skips = skip_first_and_last and convention in ("sav", "davis")
    compute, _ = _CONVENTIONS[convention]
    yield from compute(name, prediction, target, slice(1, -1) if skips else slice(None))


def summarize_curves(objects: "CurvesByObject", convention: Convention) -> dict[str, Any]:
    """The numbers over all objects, as `score` gives them. Raises ScoringError where there is no object."""
    if not objects:
        raise ScoringError("no object is in any target: J and F are means over at least one")
    _, summarize = _CONVENTIONS[convention]
    return summarize(objects)


def _check_shapes(video: Video) -> Video:
    name, prediction, target = video
    prediction, target = np.asarray(prediction), np.asarray(target)
    if prediction.shape != target.shape or target.ndim != 3:
        raise ScoringError(
            f"video {name!r}: prediction is {prediction.shape}, target is {target.shape}: expected equal (T, H, W)"
        )
    return name, prediction, target


Curves = tuple[np.ndarray, np.ndarray]
"""J and F by frame, float64 (T,)."""


def _compute_sav_curves(
    name: str, prediction: np.ndarray, target: np.ndarray, kept: slice
) -> Iterator[tuple[int, Curves]]:
    prediction, target = prediction[kept], target[kept]
    if target.dtype == bool and not target.any():
        raise ScoringError(f"video {name!r}: the object is in no target frame that counts")
    for number in np.unique(target[target != 0]).tolist():
        there, wanted = prediction == number, target == number
        first = int((there | wanted).any(axis=(1, 2)).argmax())
        yield number, compute_curves(zip(there[first:], wanted[first:], strict=True))


def _compute_davis_curves(
    name: str, prediction: np.ndarray, target: np.ndarray, kept: slice
) -> Iterator[tuple[int, Curves]]:
    target = np.where(target == VOID, 0, target)
    number, highest = int(target[0].max()), int(prediction[kept].max(initial=0))
    if highest > number:
        raise ScoringError(f"video {name!r}: the prediction has an object {highest}, the first frame has {number}")
    for object_id in range(1, number + 1):
        yield object_id, _compute_object_curves(prediction[kept], target[kept], object_id, object_id)


def _compute_object_curves(prediction: np.ndarray, target: np.ndarray, found: int, wanted: int) -> Curves:
    """Of one object number of each."""
    return compute_curves(zip(prediction == found, target == wanted, strict=True))


def _compute_paired_curves(
    name: str, prediction: np.ndarray, target: np.ndarray, kept: slice
) -> Iterator[tuple[int, Curves]]:
    """Pair predicted objects with those of the first target frame so that the sum of J&F is highest."""
    void = target == VOID
    target = np.where(void, 0, target)
    wanted, found = int(target[0].max()), int(prediction.max(initial=0))
    if found > MAX_PROPOSALS:
        raise ScoringError(f"video {name!r}: the prediction has an object {found}, {MAX_PROPOSALS} are allowed")
    prediction = np.where(void, 0, prediction)
    proposals = range(1, max(found, wanted) + 1)
    pairs = {
        (proposal, number): _compute_object_curves(prediction, target, proposal, number)
        for proposal in proposals
        for number in range(1, wanted + 1)
    }
    means = np.array([(j.mean() + f.mean()) / 2 for j, f in pairs.values()]).reshape(len(proposals), wanted)
    for row, column in zip(*linear_sum_assignment(-means), strict=True):
        yield int(column) + 1, pairs[int(row) + 1, int(column) + 1]


def _compute_expression_curves(
    name: str, prediction: np.ndarray, target: np.ndarray, kept: slice
) -> Iterator[tuple[int, Curves]]:
    yield 1, compute_curves(zip(prediction > 0, target > 0, strict=True))


def compute_curves(frames: Iterable[tuple[np.ndarray, np.ndarray]]) -> Curves:
    """J and F of each frame; `frames`: (prediction, target), bool (H, W) each."""
    rows = [(compute_region_overlap(*frame), compute_boundary_accuracy(*frame)) for frame in frames]
    j, f = np.array(rows, float).reshape(-1, 2).T
    return np.ascontiguousarray(j), np.ascontiguousarray(f)


def compute_region_overlap(prediction: np.ndarray, target: np.ndarray) -> float:
    """J of one frame; masks bool, (H, W)."""
    union = int((prediction | target).sum())
    return int((prediction & target).sum()) / union if union else 1.0


def compute_boundary_accuracy(prediction: np.ndarray, target: np.ndarray) -> float:
    """F of one frame; masks bool, (H, W)."""
    found, wanted = _find_outline(prediction), _find_outline(target)
    if not found.any() or not wanted.any():
        return float(found.any() == wanted.any())
    disk = _make_disk(int(np.ceil(_BOUNDARY * np.linalg.norm(target.shape))))
    precision = (found & (cv2.dilate(wanted.view(np.uint8), disk) > 0)).sum() / found.sum()
    recall = (wanted & (cv2.dilate(found.view(np.uint8), disk) > 0)).sum() / wanted.sum()
    return float(2 * precision * recall / (precision + recall)) if precision + recall else 0.0


def _find_outline(mask: np.ndarray) -> np.ndarray:
    """bool, (H, W): pixels that differ from the one to the right, below, or below to the right."""
    padded = np.pad(mask, ((0, 1), (0, 1)), mode="edge")
    return np.ascontiguousarray((mask ^ padded[:-1, 1:]) | (mask ^ padded[1:, :-1]) | (mask ^ padded[1:, 1:]))


@cache
def _make_disk(radius: int) -> np.ndarray:
    steps = np.arange(-radius, radius + 1)
    return (steps**2 + steps[:, None] ** 2 <= radius**2).astype(np.uint8)


CurvesByObject = Mapping[tuple[str, int], Curves]
"""(video, object number) -> its curves."""


def _summarize_sav(objects: CurvesByObject) -> dict[str, Any]:
    means = {key: tuple(float(np.mean(curve) * 100) for curve in curves) for key, curves in objects.items()}
    j, f = (float(np.array(column).mean()) for column in zip(*means.values(), strict=True))
    jf = (j + f) / 2
    official = {"J&F": jf, "J": j, "F": f}
    return {"jf": jf, "j": j, "f": f, "objects": len(objects), "per_object": means, "official": official}


def _summarize_expressions(objects: CurvesByObject) -> dict[str, Any]:
    columns = zip(*((curve.mean() for curve in curves) for curves in objects.values()), strict=True)
    j, f = (float(np.mean(column)) for column in columns)
    jf = (j + f) / 2
    means = {key: tuple(100 * float(curve.mean()) for curve in curves) for key, curves in objects.items()}
    official = {"J": j, "F": f, "J&F": jf}
    return {
        "jf": 100 * jf,
        "j": 100 * j,
        "f": 100 * f,
        "objects": len(objects),
        "per_object": means,
        "official": official,
    }


def _summarize_davis(objects: CurvesByObject) -> dict[str, Any]:
    official = {}
    for letter, curves in zip("JF", zip(*objects.values(), strict=True), strict=True):
        statistics = np.array([_compute_statistics(curve) for curve in curves])
        for name, column in zip(("Mean", "Recall", "Decay"), statistics.T, strict=True):
            official[f"{letter}-{name}"] = float(np.mean(column))
    official = {"J&F-Mean": (official["J-Mean"] + official["F-Mean"]) / 2.0, **official}
    j, f, jf = (100 * official[f"{name}-Mean"] for name in ("J", "F", "J&F"))
    means = {key: tuple(100 * float(curve.mean()) for curve in curves) for key, curves in objects.items()}
    return {"jf": jf, "j": j, "f": f, "objects": len(objects), "per_object": means, "official": official}


CurvesFn = Callable[[str, np.ndarray, np.ndarray, slice], Iterator[tuple[int, Curves]]]
_CONVENTIONS: Mapping[Convention, tuple[CurvesFn, Callable[[CurvesByObject], dict[str, Any]]]] = {
    "sav": (_compute_sav_curves, _summarize_sav),
    "davis": (_compute_davis_curves, _summarize_davis),
    "unsupervised": (_compute_paired_curves, _summarize_davis),
    "mevis": (_compute_expression_curves, _summarize_expressions),
}


def _compute_statistics(curve: np.ndarray) -> tuple[float, float, float]:
    """Mean, share of frames above 0.5, and decay: mean of the first quarter of the frames less that of the last."""
    if not len(curve):
        raise ScoringError("a video of one or two frames has none between the first and the last")
    with np.errstate(over="ignore"):
        # eight bits, as officially: beyond 256 frames the quarters are other ones
        edges = (np.round(np.linspace(1, len(curve), 5) + 1e-10) - 1).astype(np.uint8)
        first, *_, last = (curve[edges[i] : edges[i + 1] + np.uint8(1)] for i in range(4))
    decay = np.mean(first) - np.mean(last) if len(first) and len(last) else float("nan")
    return float(np.mean(curve)), float(np.mean(curve > 0.5)), float(decay)


def read_folders(
    targets: Path, predictions: Path, *, names: Sequence[str] | None = None, skip_first_and_last: bool = True
) -> Iterator[Video]:
    """The videos of a folder tree: `VIDEO/FRAME.png` with object numbers, or, as in SA-V, `VIDEO/OBJECT/FRAME.png`.

    `names`: only these videos. The frames are those of the target; a missing prediction raises ScoringError, unless it
    is of a first or last frame that does not count. In SA-V's form every object is a video of its own, named
    VIDEO/OBJECT, with the object number 1.
    """
    for name in [path.name for path in list_folders(targets)] if names is None else names:
        parts = [path.name for path in list_folders(targets / name)]
        for part in [f"{name}/{part}" for part in parts] or [name]:
            found, wanted = _read_video(targets / part, predictions / part, part, skip_first_and_last)
            yield part, *((_binarize_frames(found, part), _binarize_frames(wanted, part)) if parts else (found, wanted))


def _read_video(targets: Path, predictions: Path, video: str, skip: bool) -> tuple[np.ndarray, np.ndarray]:
    """Prediction and target, (T, H, W) each, as the images hold them."""
    names = [path.name for path in list_frames(targets)]
    if not names:
        raise ScoringError(f"video {video!r} has no PNG among the targets")
    wanted = list(read_masks([targets / name for name in names]))
    given = names[1:-1] if skip else names
    found = list(read_masks([predictions / name for name in given], wanted[0]))
    blank = [np.zeros_like(wanted[0])] if skip else []
    return np.stack([*blank, *found, *blank][: len(wanted)]), np.stack(wanted)


def _binarize_frames(frames: np.ndarray, name: str) -> np.ndarray:
    """bool, (T, H, W): where the one object of these images is."""
    if any(len(np.unique(frame)) > 2 for frame in frames):
        raise ScoringError(f"video {name!r}: a mask of one object must have two values at the most, as in SA-V")
    return np.asarray(frames > 0)


def list_frames(folder: Path) -> list[Path]:
    """The masks of a video, or of one of its objects, by name; without the hidden files that file systems leave."""
    return sorted(path for path in folder.glob("*.png") if not path.name.startswith("."))


def list_folders(folder: Path) -> list[Path]:
    """The folders in a folder, by name, without hidden ones."""
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def read_masks(paths: Iterable[Path], first: np.ndarray | None = None) -> Iterator[np.ndarray]:
    """Read masks as the images hold them, (H, W), all as large as `first`, else as the first. Raises ScoringError."""
    for path in paths:
        mask = _read_mask(path)
        first = mask if first is None else first
        if mask.ndim != 2 or mask.shape != first.shape[:2]:
            channels = f" in {mask.shape[2]} channels" if mask.ndim > 2 else ""
            raise ScoringError(
                f"the mask {path} is {mask.shape[1]} x {mask.shape[0]} pixels{channels}, expected one value a pixel in"
                f" the size of the video's first target, {first.shape[1]} x {first.shape[0]}"
            )
        yield mask


def _read_mask(path: Path) -> np.ndarray:
    try:
        with PIL.Image.open(path) as image:
            return np.asarray(image)
    except FileNotFoundError:
        raise ScoringError(f"there is no mask {path}") from None
    except (OSError, ValueError, SyntaxError, PIL.Image.DecompressionBombError) as error:
        raise ScoringError(f"{path} cannot be read as an image") from error
