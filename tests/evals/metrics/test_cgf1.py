"""cgF1 on cases whose official value is known: by hand, and from the official code."""

import copy
import json

import numpy as np
import pytest

from evals.errors import ScoringError
from evals.metrics import cgf1
from evals.metrics.cgf1 import score_pairs
from evals.metrics.official import cases
from sam3_tool.masks import rle

CASES = cases.load_cases("cgf1.json")


def square(x: int, y: int, side: int = 10, canvas: tuple[int, int] = (40, 40)) -> rle.RleMask:
    mask = np.zeros(canvas, bool)
    mask[y : y + side, x : x + side] = True
    return rle.encode_mask(mask)


def truth(*pairs, **changes):
    """A file with one image per pair; a pair is a list of squares."""
    images = [
        {"id": i, "height": 40, "width": 40, "is_instance_exhaustive": True, "text_input": "cup"}
        for i in range(len(pairs))
    ]
    annotations = [
        {"id": 100 * i + k, "image_id": i, "category_id": 1, "iscrowd": 0, "segmentation": mask.to_coco(), "bbox": box}
        for i, pair in enumerate(pairs)
        for k, (mask, box) in enumerate(zip(pair, [[0.1 * k, 0, 0.1, 0.1] for k in range(9)], strict=False))
    ]
    return {"images": images, "annotations": annotations, "categories": [{"id": 1}]} | changes


def found(image, mask, score=0.9, **changes):
    entry = {"image_id": image, "category_id": 1, "score": score, "segmentation": mask.to_coco()}
    return entry | {"bbox": [0, 0, 0.1, 0.1]} | changes


@pytest.mark.parametrize("number", range(len(CASES)))
def test_a_case_scores_what_the_official_code_gives(number):
    case = CASES[number]
    before = copy.deepcopy(case)
    scores = cgf1.score(case["ground_truths"], case["predictions"], case["iou_type"])
    assert scores["official"] == case["official"]
    assert list(scores["official"]) == list(case["official"])
    assert repr(case) == repr(before)


def test_files_are_read_from_disk(tmp_path):
    case = CASES[0]
    paths = [tmp_path / f"{number}.json" for number in range(len(case["ground_truths"]))]
    for path, file in zip(paths, case["ground_truths"], strict=True):
        path.write_text(json.dumps(file), encoding="utf-8")
    (tmp_path / "predictions.json").write_text(json.dumps(case["predictions"]), encoding="utf-8")
    scores = cgf1.score(paths, str(tmp_path / "predictions.json"), case["iou_type"])
    assert scores["official"] == case["official"]


def test_perfect_answers_reach_the_official_ceiling():
    scores = score_pairs([([square(0, 0), square(20, 20)], [square(20, 20), square(0, 0)]), ([], [])])
    assert scores["cgF1"] == pytest.approx(99.99, abs=0.01)
    assert scores["IL_MCC"] == pytest.approx(1, abs=1e-5)


def test_false_alarms_lower_the_image_level_score_only():
    scores = score_pairs([([square(0, 0)], [square(0, 0)]), ([square(5, 5)], []), ([], [])])
    assert scores["pmF1"] == pytest.approx(99.99, abs=0.01)
    assert scores["IL_MCC"] == pytest.approx(0.5, abs=1e-3)


def test_a_mask_counts_at_the_thresholds_it_reaches():
    shifted = square(2, 0)  # 80 of 120 pixels: IoU 2/3 reaches .5, .55, .6, .65
    scores = score_pairs([([shifted], [square(0, 0)]), ([], [])])
    assert scores["positive_micro_F1_50"] == pytest.approx(100, abs=0.02)
    assert scores["positive_micro_F1_75"] == 0
    assert scores["pmF1"] == pytest.approx(40, abs=0.02)


@pytest.mark.parametrize("step", range(10, 20))
def test_an_iou_of_exactly_a_threshold_reaches_it(step):
    part, whole = (rle.encode_mask(np.arange(20)[None] < pixels) for pixels in (step, 20))
    scores = score_pairs([([part], [whole]), ([], [])])
    assert scores["pmF1"] == pytest.approx(10 * (step - 9), abs=0.02)


def test_matching_maximises_the_summed_iou_and_not_the_number_of_hits():
    """One pairing gives two matches of .5 and .55, the other one of 1 and one of .2: the second has the greater sum."""
    outcome = cgf1.match_instances(np.array([[1.0, 0.5], [0.55, 0.2]]))
    assert outcome.hits[0] == 1


def test_a_score_of_exactly_one_half_is_kept():
    scores = [cgf1.score(truth([square(0, 0)], []), [found(0, square(0, 0), s)])["cgF1"] for s in (0.5, 0.49999)]
    assert scores == [pytest.approx(99.99, abs=0.01), 0]


def test_a_score_that_is_not_a_number_is_not_kept():
    case = truth([square(0, 0)], []), [found(0, square(0, 0)), found(1, square(0, 0), float("nan"))]
    assert cgf1.score(*case)["official"]["cgF1_eval_segm_IL_FPR"] == 0


def test_only_pairs_that_are_exhaustive_in_every_file_are_scored():
    one, two = truth([square(0, 0)], [], [square(9, 9)]), truth([square(0, 0)], [], [square(9, 9)])
    two["images"][2]["is_instance_exhaustive"] = False
    assert cgf1.score([one, two], [found(0, square(0, 0))])["pairs"] == 2


def test_crowds_are_dropped_and_absorb_nothing():
    file = truth([square(0, 0), square(20, 20)], [])
    file["annotations"][1]["iscrowd"] = 1
    official = cgf1.score(file, [found(0, square(0, 0)), found(0, square(20, 20))])["official"]
    assert official["cgF1_eval_segm_precision@0.5"] == pytest.approx(0.5, abs=1e-3)
    assert official["cgF1_eval_segm_recall@0.5"] == pytest.approx(1, abs=1e-3)


def test_predictions_of_an_unknown_category_or_image_are_ignored():
    predictions = [found(0, square(0, 0)), found(1, square(0, 0), category_id=2), found(99, square(0, 0))]
    assert cgf1.score(truth([square(0, 0)], []), predictions)["IL_MCC"] == pytest.approx(1, abs=1e-5)


def test_the_oracle_takes_the_annotator_that_suits_a_pair_best_and_an_empty_one_before_all():
    first, second = truth([square(20, 20)], [square(3, 3)]), truth([square(0, 0)], [])
    scores = cgf1.score([first, second], [found(0, square(0, 0))])
    assert scores["cgF1"] == pytest.approx(99.99, abs=0.01)
    assert cgf1.score([second], [found(0, square(0, 0))])["official"] == scores["official"]


def test_of_equal_annotators_the_first_counts():
    """Nothing was predicted: F1 is 0 against either, and the misses are those of the first file."""
    one, two = truth([square(0, 0)], [square(0, 0)]), truth([square(0, 0)], [square(0, 0), square(20, 20)])
    recalls = [
        cgf1.score(files, [found(0, square(0, 0))])["official"]["cgF1_eval_segm_recall@0.5"]
        for files in ([one, two], [two, one])
    ]
    assert recalls == [pytest.approx(1 / 2, abs=1e-3), pytest.approx(1 / 3, abs=1e-3)]


def test_no_predictions_have_the_official_value():
    official = cgf1.score(truth([square(0, 0)], []), [])["official"]
    assert official["cgF1_eval_segm_cgF1"] == 0
    assert official["cgF1_eval_segm_positive_macro_F1"] == -1


def test_macro_f1_is_not_lowered_by_pairs_without_predictions():
    official = cgf1.score(truth([square(0, 0)], [square(0, 0)], []), [found(0, square(0, 0))])["official"]
    assert official["cgF1_eval_segm_positive_macro_F1"] == pytest.approx(1, abs=1e-3)


def test_a_mask_of_another_size_is_a_false_positive():
    predictions = [found(0, square(0, 0, canvas=(50, 40)))]
    official = cgf1.score(truth([square(0, 0)], []), predictions)["official"]
    assert official["cgF1_eval_segm_positive_micro_F1"] == 0


def test_boxes_made_of_masks_are_in_pixels_and_this_is_said(caplog):
    prediction = found(0, square(0, 0))
    del prediction["bbox"]
    assert cgf1.score(truth([square(0, 0)], []), [prediction], "bbox")["cgF1"] == 0
    assert "prediction 0 has no `bbox`" in caplog.text


def test_of_annotations_with_one_id_the_last_counts_as_in_the_official_loader():
    file = truth([square(0, 0), square(20, 20)], [])
    file["annotations"][0]["id"] = file["annotations"][1]["id"]
    official = cgf1.score(file, [found(0, square(20, 20)), found(0, square(20, 20))])["official"]
    assert official["cgF1_eval_segm_F1@0.5"] == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("key", ["image_id", "category_id", "score"])
def test_a_key_that_a_prediction_lacks_is_named(key):
    prediction = found(0, square(0, 0))
    del prediction[key]
    with pytest.raises(ScoringError, match=f"prediction 1 has no `{key}`"):
        cgf1.score(truth([square(0, 0)], []), [found(0, square(0, 0)), prediction])


@pytest.mark.parametrize(
    ("table", "key", "complaint"),
    [
        ("images", "is_instance_exhaustive", "ground truth image 0 has no `is_instance_exhaustive`"),
        ("annotations", "iscrowd", "ground truth annotation 0 has no `iscrowd`"),
        ("annotations", "segmentation", "ground truth annotation 0 has no `segmentation`"),
        ("annotations", "id", "ground truth annotation 0 has no `id`"),
    ],
)
def test_a_key_that_the_ground_truth_lacks_is_named(table, key, complaint):
    file = truth([square(0, 0)], [])
    del file[table][0][key]
    with pytest.raises(ScoringError, match=complaint):
        cgf1.score(file, [found(0, square(0, 0))])


@pytest.mark.parametrize(
    ("counts", "complaint"),
    [
        *((counts, "the runs do not make up a mask of 40 x 40") for counts in ("", "0", "09", "PPYo1")),
        *((counts, f"'{counts[0]}' does not belong in a run-length mask") for counts in ("~~", "é")),
    ],
)
def test_a_mask_that_its_runs_do_not_fill_is_named_and_not_compared(counts, complaint):
    prediction = found(0, square(0, 0), segmentation={"size": [40, 40], "counts": counts})
    with pytest.raises(ScoringError, match=f"prediction 0: {complaint}"):
        cgf1.score(truth([square(0, 0)], []), [prediction])


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"score": None}, "prediction 0: `score` must be a number, found None"),
        ({"bbox": [1, 2, 3]}, "prediction 0: `bbox` must be four numbers"),
        ({"segmentation": 5}, "prediction 0: `segmentation` must be run lengths"),
    ],
)
def test_a_broken_value_is_named(changes, complaint):
    with pytest.raises(ScoringError, match=complaint):
        cgf1.score(truth([square(0, 0)], []), [found(0, square(0, 0), **changes)])


def test_what_cannot_be_scored_at_all_is_said():
    file = truth([square(0, 0)])
    with pytest.raises(ScoringError, match="`iou_type` must be"):
        cgf1.score(file, [], "masks")
    with pytest.raises(ScoringError, match="predictions must be a list, found dict"):
        cgf1.score(file, {"predictions": []})
    with pytest.raises(ScoringError, match="names no file"):
        cgf1.score([], [])
    file["images"][0]["is_instance_exhaustive"] = False
    with pytest.raises(ScoringError, match="nothing to score"):
        cgf1.score(file, [])
    with pytest.raises(ScoringError, match="image 0 is not in ground truth file 2"):
        cgf1.score([truth([square(0, 0)]), truth(images=[])], [found(0, square(0, 0))])
