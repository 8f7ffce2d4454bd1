"""Committed cases with the values that the official code gave for them, and how far ours are from those.

`NAME.json` beside this file lists the cases of a metric. The field `official` of a case is what the code named in
FAMILIES returned. Masks are stored as COCO run lengths, label maps as one such mask per value, and videos as their
frames below each other.
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

from evals.metrics import cgf1, grec, gres, jf, omnilabel, pbench, reasonseg, revos, veval
from sam3_tool.masks import rle
from sam3_tool.masks.rle import RleMask
from sam3_tool.overlap import select_non_overlapping

Case = Mapping[str, Any]
Numbers = Mapping[str, float]


@dataclass(frozen=True)
class MetricFamily:
    """A metric, or a part of one, beside its official code."""

    title: str
    file: str
    source: str
    """Repository at a commit, and what was called."""
    ours: Callable[[Case], Numbers]
    official: Callable[[Case], Numbers] = lambda case: case["official"]


@dataclass(frozen=True)
class FamilyComparison:
    family: MetricFamily
    cases: int
    numbers: int
    worst: float
    """The greatest absolute difference between a number and the official one; 0 if every bit is the same."""

    @property
    def verdict(self) -> str:
        return "bit-equal" if self.worst == 0 else f"differs by {self.worst:.1g}"


def compare_family(family: MetricFamily) -> FamilyComparison:
    """Scores every case of a metric. Raises ValueError where the official code gave numbers of other names."""
    cases = load_cases(family.file)
    differences = [difference for case in cases for difference in find_differences(family, case).values()]
    return FamilyComparison(family, len(cases), len(differences), max(differences))


def find_differences(family: MetricFamily, case: Case) -> dict[str, float]:
    """The absolute difference of each number; 0 where both are NaN, NaN where one of them is."""
    ours, official = family.ours(case), family.official(case)
    if list(ours) != list(official):
        raise ValueError(f"{family.title}: the official numbers are {list(official)}, ours {list(ours)}")
    return {name: _measure_difference(ours[name], official[name]) for name in official}


def _measure_difference(ours: float, official: float) -> float:
    return 0.0 if ours == official or (isnan(ours) and isnan(official)) else abs(ours - official)


@cache
def load_cases(file: str) -> Sequence[Case]:
    """The cases of a file; not to be changed."""
    found: Sequence[Case] = json.loads((files("evals.metrics.official") / file).read_text("utf-8"))
    return found


def decode_labels(packed: Case) -> np.ndarray:
    """uint8, (H, W) or (T, H, W): a label map."""
    height, width = packed["size"]
    found = np.zeros((height, width), np.uint8)
    for value, counts in packed["values"].items():
        found[rle.decode_mask(RleMask.from_coco({"size": packed["size"], "counts": counts}))] = int(value)
    return found.reshape(packed["frames"], -1, width) if "frames" in packed else found


def _score_reasonseg(case: Case, convention: reasonseg.Convention) -> Numbers:
    pairs = [(decode_labels(prediction) > 0, decode_labels(target)) for prediction, target in case["pairs"]]
    scores = reasonseg.score(pairs, convention=convention)
    return {"giou": scores["giou"], "ciou": scores["ciou"]}


def _count_polygon_differences(case: Case) -> Numbers:
    """Count the pixels that are not those of the official mask."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "annotation.json"
        path.write_bytes(json.dumps(case["file"], ensure_ascii=False).encode(case["encoding"]))
        mask, _, _ = reasonseg.load_annotation(path, case["height"], case["width"])
    return {"pixels that differ": float((mask != decode_labels(case["official"])).sum())}


def _score_gres(case: Case, convention: gres.Convention) -> Numbers:
    masks = ("pred_mask", "gt_mask")
    samples = [{**sample, **{name: decode_labels(sample[name]) > 0 for name in masks}} for sample in case["samples"]]
    official: Numbers = gres.score(samples, convention)["official"]
    return official


def _score_grec(case: Case) -> Numbers:
    official: Numbers = grec.score(case["samples"])["official"]
    return official


def _score_jf(case: Case, convention: jf.Convention) -> Numbers:
    video = ("video", decode_labels(case["prediction"]), decode_labels(case["target"]))
    official: Numbers = jf.score([video], convention=convention)["official"]
    return official


def _score_expressions(case: Case) -> Numbers:
    expressions = [
        (str(place), decode_labels(expression["prediction"]), _add_annotations(expression))
        for place, expression in enumerate(case["expressions"])
    ]
    official: Numbers = jf.score(expressions, convention="mevis")["official"]
    return official


def _add_annotations(expression: Case) -> np.ndarray:
    """uint8, (T, H, W): how many annotations cover each pixel."""
    return np.asarray(sum(decode_labels(target) for target in expression["targets"]))


def _score_revos(case: Case) -> Numbers:
    foreground = decode_labels(case["foreground"])
    scores = [(entry["type_id"], _score_revos_expression(entry, foreground)) for entry in case["expressions"]]
    return _flatten_numbers(revos.summarize_expressions(scores)["official"])


def _score_revos_expression(expression: Case, foreground: np.ndarray) -> revos.ExpressionScore:
    if expression["prediction"] is None:
        return revos.MISSED
    prediction = decode_labels(expression["prediction"])
    return revos.score_expression(zip(prediction, _add_annotations(expression), foreground, strict=True))


def _flatten_numbers(nested: Mapping[str, Numbers]) -> Numbers:
    return {
        f"{kind} {name}": value for kind, numbers in sorted(nested.items()) for name, value in sorted(numbers.items())
    }


def _score_suppression(case: Case) -> Numbers:
    """Which masks are kept, as a number for each."""
    masks = [RleMask.from_coco(mask) for mask in case["masks"]]
    kept = select_non_overlapping(masks, np.array(case["scores"]), threshold=case["threshold"])
    return _flag_kept_masks(kept, len(masks))


def _flag_kept_masks(indices: Sequence[int], number: int) -> Numbers:
    return {f"mask {index}": float(index in indices) for index in range(number)}


def _score_pbench(case: Case) -> Numbers:
    """The numbers of all samples, and the F1 of each."""
    outcomes = [_judge_pbench_sample(sample, dense=case["dense"]) for sample in case["samples"]]
    alone = {f"f1 of sample {index}": outcome.f1 for index, outcome in enumerate(outcomes)}
    return {**pbench.score_outcomes(outcomes)["official"], **alone}


def _judge_pbench_sample(sample: Case, *, dense: bool) -> pbench.Outcome:
    predicted = [pbench.resize_mask(RleMask.from_coco(mask), *sample["size"]) for mask in sample["predictions"]]
    targets = [RleMask.from_coco(mask) for mask in sample["targets"]]
    return pbench.judge_sample(predicted, targets, pbench.DENSE_THRESHOLDS if dense else pbench.THRESHOLDS)


def _score_cgf1(case: Case) -> Numbers:
    official: Numbers = cgf1.score(case["ground_truths"], case["predictions"], case["iou_type"])["official"]
    return official


def _score_veval(case: Case) -> Numbers:
    ours = veval.score(case["ground_truth"], case["predictions"], case["iou_type"])["official"]
    return {name: ours[name] for name in case["official"]}


def _score_omnilabel(case: Case) -> Numbers:
    return omnilabel.score(case["ground_truth"], case["predictions"])


FAMILIES: Sequence[MetricFamily] = (
    MetricFamily(
        "ReasonSeg, RefCOCO: gIoU, cIoU",
        "lisa.json",
        "dvlab-research/LISA 3cb2d43, the sums of train_ds.validate over utils.intersectionAndUnionGPU",
        lambda case: _score_reasonseg(case, "lisa"),
    ),
    MetricFamily(
        "ReasonSeg: masks from polygons",
        "polygons.json",
        "dvlab-research/LISA 3cb2d43, get_mask_from_json",
        _count_polygon_differences,
        lambda case: {"pixels that differ": 0.0},
    ),
    MetricFamily(
        "ReasonSeg, hf-bool: gIoU, cIoU",
        "hf_bool.json",
        "dvlab-research/VisionReasoner a455092, the sums of calculate_iou.py",
        lambda case: _score_reasonseg(case, "hf-bool"),
    ),
    MetricFamily(
        "ConverSeg: gIoU, cIoU",
        "converseg.json",
        "AadSah/ConverSeg 9eacdd1, the sums of eval.py over _compute_iou",
        lambda case: _score_reasonseg(case, "converseg"),
    ),
    MetricFamily(
        "OmniLabel: the 13 entries",
        "omnilabel.json",
        "samschulter/omnilabeltools bfd742a, OmniLabelEval",
        _score_omnilabel,
        lambda case: dict(zip(_score_omnilabel(case), case["official"], strict=True)),
    ),
    MetricFamily(
        "SA-Co: cgF1, pmF1, IL_MCC … (26)",
        "cgf1.json",
        "facebookresearch/sam3 99d02f2, CGF1Evaluator",
        _score_cgf1,
    ),
    MetricFamily(
        "SA-Co/VEval: cgF1, pHOTA … (18)",
        "veval.json",
        "facebookresearch/sam3 99d02f2, saco_veval_eval.py",
        _score_veval,
    ),
    MetricFamily(
        "gRefCOCO, ReLA: gIoU, cIoU, Pr, N-acc, T-acc",
        "rela.json",
        "henghuiding/ReLA 3ca9551, ReferEvaluator",
        lambda case: _score_gres(case, "rela"),
    ),
    MetricFamily(
        "gRefCOCO, GSVA: gIoU, cIoU, N-acc, T-acc",
        "gsva.json",
        "LeapLabTHU/GSVA 618dc79, the sums of eval_gres",
        lambda case: _score_gres(case, "gsva"),
    ),
    MetricFamily(
        "GREC: Pr@(F1=1), N-acc, T-acc",
        "grec.json",
        "henghuiding/gRefCOCO 41a8f00, RefExpEvaluator",
        _score_grec,
    ),
    MetricFamily(
        "PBench: F1, IL TP, TN, FP, FN",
        "pbench.json",
        "tiiuae/Falcon-Perception 627e10a, resize_rle, nms, sample_f1 and aggregate of eval/metrics.py",
        _score_pbench,
    ),
    MetricFamily(
        "J&F, SA-V",
        "jf_sav.json",
        "facebookresearch/sam2 2b90b9f, sav_benchmark.Evaluator",
        lambda case: _score_jf(case, "sav"),
    ),
    MetricFamily(
        "J&F, DAVIS",
        "jf_davis.json",
        "davischallenge/davis2017-evaluation ac7c43f, semi-supervised",
        lambda case: _score_jf(case, "davis"),
    ),
    MetricFamily(
        "J&F, Ref-DAVIS17",
        "jf_unsupervised.json",
        "wjn922/ReferFormer 06fc218, davis2017, unsupervised",
        lambda case: _score_jf(case, "unsupervised"),
    ),
    MetricFamily(
        "J&F, MeViS and ReasonVOS",
        "jf_mevis.json",
        "henghuiding/MeViS 7c0620b, eval_mevis.py; showlab/VideoLISA 146f2bc, eval_reason_vos.py",
        _score_expressions,
    ),
    MetricFamily(
        "ReVOS: J&F, A, R (15)",
        "revos.json",
        "cilinyan/VISA ec158fd, eval_revos.py",
        _score_revos,
        lambda case: _flatten_numbers(case["official"]),
    ),
    MetricFamily(
        "counting: which masks are kept",
        "suppression.json",
        "facebookresearch/sam3 99d02f2, remove_overlapping_masks",
        _score_suppression,
        lambda case: _flag_kept_masks(case["official"], len(case["masks"])),
    ),
)
