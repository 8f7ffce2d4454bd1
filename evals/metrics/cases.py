"""Committed cases with the values that the official code gave for them, and how far ours are from those.

`official/NAME.json` lists the cases of a metric; `official` in each is what the code named in FAMILIES returned. Masks
are stored as COCO run lengths, label maps as one such mask per value, videos as their frames below each other.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from math import isnan
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from evals.metrics import cgf1, grec, gres, jf, omnilabel, reasonseg, veval
from sam3_tool import rle
from sam3_tool.overlap import without_overlaps
from sam3_tool.rle import Rle

Case = Mapping[str, Any]
Numbers = Mapping[str, float]


@dataclass(frozen=True)
class Family:
    """A metric, or a part of one, beside its official code."""

    title: str
    file: str
    source: str
    """Repository at a commit, and what was called."""
    ours: Callable[[Case], Numbers]
    official: Callable[[Case], Numbers] = lambda case: case["official"]


@dataclass(frozen=True)
class Compared:
    family: Family
    cases: int
    numbers: int
    worst: float
    """The greatest absolute difference between a number and the official one; 0 if every bit is the same."""

    @property
    def verdict(self) -> str:
        return "bit-equal" if self.worst == 0 else f"differs by {self.worst:.1g}"


def compare(family: Family) -> Compared:
    """Scores every case of a metric. Raises ValueError where the official code gave numbers of other names."""
    cases = load(family.file)
    differences = [difference for case in cases for difference in differing(family, case).values()]
    return Compared(family, len(cases), len(differences), max(differences))


def differing(family: Family, case: Case) -> dict[str, float]:
    """The absolute difference of each number; 0 where both are NaN, NaN where one of them is."""
    ours, official = family.ours(case), family.official(case)
    if list(ours) != list(official):
        raise ValueError(f"{family.title}: the official numbers are {list(official)}, ours {list(ours)}")
    return {name: _difference(ours[name], official[name]) for name in official}


def _difference(ours: float, official: float) -> float:
    return 0.0 if ours == official or (isnan(ours) and isnan(official)) else abs(ours - official)


@cache
def load(file: str) -> Sequence[Case]:
    """The cases of a file; not to be changed."""
    found: Sequence[Case] = json.loads((files("evals.metrics") / "official" / file).read_text("utf-8"))
    return found


def labels(packed: Case) -> np.ndarray:
    """uint8, (H, W) or (T, H, W): a label map."""
    height, width = packed["size"]
    found = np.zeros((height, width), np.uint8)
    for value, counts in packed["values"].items():
        found[rle.decode(Rle.from_coco({"size": packed["size"], "counts": counts}))] = int(value)
    return found.reshape(packed["frames"], -1, width) if "frames" in packed else found


def _reasonseg(case: Case, convention: reasonseg.Convention) -> Numbers:
    pairs = [(labels(prediction) > 0, labels(target)) for prediction, target in case["pairs"]]
    scores = reasonseg.score(pairs, convention=convention)
    return {"giou": scores["giou"], "ciou": scores["ciou"]}


def _polygons(case: Case) -> Numbers:
    """How many pixels are not those of the official mask."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "annotation.json"
        path.write_bytes(json.dumps(case["file"], ensure_ascii=False).encode(case["encoding"]))
        mask, _, _ = reasonseg.load_annotation(path, case["height"], case["width"])
    return {"pixels that differ": float((mask != labels(case["official"])).sum())}


def _gres(case: Case, convention: gres.Convention) -> Numbers:
    masks = ("pred_mask", "gt_mask")
    samples = [{**one, **{name: labels(one[name]) > 0 for name in masks}} for one in case["samples"]]
    official: Numbers = gres.score(samples, convention)["official"]
    return official


def _grec(case: Case) -> Numbers:
    official: Numbers = grec.score(case["samples"])["official"]
    return official


def _jf(case: Case, convention: jf.Convention) -> Numbers:
    video = ("video", labels(case["prediction"]), labels(case["target"]))
    official: Numbers = jf.score([video], convention=convention)["official"]
    return official


def _suppression(case: Case) -> Numbers:
    """Which masks are kept, as a number for each."""
    masks = [Rle.from_coco(mask) for mask in case["masks"]]
    kept = without_overlaps(masks, np.array(case["scores"]), threshold=case["threshold"])
    return _kept(kept, len(masks))


def _kept(indices: Sequence[int], number: int) -> Numbers:
    return {f"mask {index}": float(index in indices) for index in range(number)}


def _cgf1(case: Case) -> Numbers:
    official: Numbers = cgf1.score(case["ground_truths"], case["predictions"], case["iou_type"])["official"]
    return official


def _veval(case: Case) -> Numbers:
    ours = veval.score(case["ground_truth"], case["predictions"], case["iou_type"])["official"]
    return {name: ours[name] for name in case["official"]}


def _omnilabel(case: Case) -> Numbers:
    return omnilabel.score(case["ground_truth"], case["predictions"])


FAMILIES: Sequence[Family] = (
    Family(
        "ReasonSeg, RefCOCO: gIoU, cIoU",
        "lisa.json",
        "dvlab-research/LISA 3cb2d43, the sums of train_ds.validate over utils.intersectionAndUnionGPU",
        lambda case: _reasonseg(case, "lisa"),
    ),
    Family(
        "ReasonSeg: masks from polygons",
        "polygons.json",
        "dvlab-research/LISA 3cb2d43, get_mask_from_json",
        _polygons,
        lambda case: {"pixels that differ": 0.0},
    ),
    Family(
        "ReasonSeg, hf-bool: gIoU, cIoU",
        "hf_bool.json",
        "dvlab-research/VisionReasoner a455092, the sums of calculate_iou.py",
        lambda case: _reasonseg(case, "hf-bool"),
    ),
    Family(
        "OmniLabel: the 13 entries",
        "omnilabel.json",
        "samschulter/omnilabeltools bfd742a, OmniLabelEval",
        _omnilabel,
        lambda case: dict(zip(_omnilabel(case), case["official"], strict=True)),
    ),
    Family(
        "SA-Co: cgF1, pmF1, IL_MCC … (26)",
        "cgf1.json",
        "facebookresearch/sam3 99d02f2, CGF1Evaluator",
        _cgf1,
    ),
    Family(
        "SA-Co/VEval: cgF1, pHOTA … (18)",
        "veval.json",
        "facebookresearch/sam3 99d02f2, saco_veval_eval.py",
        _veval,
    ),
    Family(
        "gRefCOCO, ReLA: gIoU, cIoU, Pr, N-acc, T-acc",
        "rela.json",
        "henghuiding/ReLA 3ca9551, ReferEvaluator",
        lambda case: _gres(case, "rela"),
    ),
    Family(
        "gRefCOCO, GSVA: gIoU, cIoU, N-acc, T-acc",
        "gsva.json",
        "LeapLabTHU/GSVA 618dc79, the sums of eval_gres",
        lambda case: _gres(case, "gsva"),
    ),
    Family(
        "GREC: Pr@(F1=1), N-acc, T-acc",
        "grec.json",
        "henghuiding/gRefCOCO 41a8f00, RefExpEvaluator",
        _grec,
    ),
    Family(
        "J&F, SA-V",
        "jf_sav.json",
        "facebookresearch/sam2 2b90b9f, sav_benchmark.Evaluator",
        lambda case: _jf(case, "sav"),
    ),
    Family(
        "J&F, DAVIS",
        "jf_davis.json",
        "davischallenge/davis2017-evaluation ac7c43f, semi-supervised",
        lambda case: _jf(case, "davis"),
    ),
    Family(
        "counting: which masks are kept",
        "suppression.json",
        "facebookresearch/sam3 99d02f2, remove_overlapping_masks",
        _suppression,
        lambda case: _kept(case["official"], len(case["masks"])),
    ),
)
