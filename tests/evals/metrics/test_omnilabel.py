"""OmniLabel's average precision on cases whose official value is known: by hand, and from the official code."""

import copy
import json

import pytest

from evals.errors import ScoringError
from evals.metrics import omnilabel
from evals.metrics.official import cases

CASES = cases.load_cases("omnilabel.json")
NAMES = [
    *("ap", "ap_categ", "ap_descr", "ap_descr_pos", "ap_descr_s", "ap_descr_m", "ap_descr_l"),
    *("ap_descr_50", "ap_descr_75", "ap_categ_50", "ap_categ_75", "ar_descr", "ar_categ"),
]
HERE, THERE = [0, 0, 10, 10], [50, 50, 10, 10]


def described(number, text, *images, kind="object_description"):
    return {"id": number, "text": text, "image_ids": list(images), "anno_info": {"type": kind}}


def annotated(number, image, bbox, *descriptions, iscrowd=0):
    return {"id": number, "image_id": image, "bbox": bbox, "description_ids": list(descriptions), "iscrowd": iscrowd}


def truth(descriptions, annotations, images=(1, 2)):
    return {"images": [{"id": i} for i in images], "descriptions": descriptions, "annotations": annotations}


def found(image, bbox, **scores):
    """`found(1, HERE, d5=0.9)`: description 5 with score 0.9."""
    numbers = [int(name[1:]) for name in scores]
    return {"image_id": image, "bbox": bbox, "description_ids": numbers, "scores": list(scores.values())}


ONE_OF_EACH = truth(
    [described(5, "red cup", 1, 2), described(6, "cup", 1, 2, kind="object_category")],
    [annotated(1, 1, HERE, 5, 6), annotated(2, 2, THERE, 6)],
)


@pytest.mark.parametrize("number", range(len(CASES)))
def test_a_case_scores_what_the_official_code_gives(number):
    case = CASES[number]
    before = copy.deepcopy(case)
    scores = omnilabel.score(case["ground_truth"], case["predictions"])
    assert list(scores.values()) == case["official"]
    assert list(scores) == NAMES
    assert repr(case) == repr(before)


def test_files_are_read_from_disk(tmp_path):
    for name in ("ground_truth", "predictions"):
        (tmp_path / name).write_text(json.dumps(CASES[0][name]), encoding="utf-8")
    scores = omnilabel.score(tmp_path / "ground_truth", str(tmp_path / "predictions"))
    assert list(scores.values()) == CASES[0]["official"]


def test_the_headline_is_the_harmonic_mean_with_its_constant():
    scores = omnilabel.score(ONE_OF_EACH, [found(1, HERE, d5=0.9, d6=0.9), found(2, THERE, d6=0.8)])
    assert (scores["ap_categ"], scores["ap_descr"]) == (pytest.approx(1), pytest.approx(1))
    assert scores["ap"] == pytest.approx(2 / (2 + 1e-5), abs=1e-12)


def test_a_group_without_boxes_scores_minus_one_and_so_does_the_headline():
    scores = omnilabel.score(truth([described(5, "red cup", 1)], [annotated(1, 1, HERE, 5)]), [found(1, HERE, d5=1)])
    assert (scores["ap"], scores["ap_categ"], scores["ap_descr_m"], scores["ar_categ"]) == (-1, -1, -1, -1)
    assert scores["ap_descr_s"] == pytest.approx(1)


def test_no_predictions_score_zero_where_there_are_boxes():
    scores = omnilabel.score(ONE_OF_EACH, [])
    assert (scores["ap"], scores["ap_descr"], scores["ar_categ"], scores["ap_descr_l"]) == (0, 0, 0, -1)


def test_whether_a_description_is_positive_is_a_matter_of_the_image():
    """A false alarm in image 2 lowers AP-descr, and leaves the descriptions that have a box in their image alone."""
    scores = omnilabel.score(ONE_OF_EACH, [found(2, HERE, d5=0.95), found(1, HERE, d5=0.9)])
    assert (scores["ap_descr"], scores["ap_descr_pos"]) == (pytest.approx(0.5), pytest.approx(1))


def test_pairs_are_pooled_into_one_ranking_and_not_averaged():
    """Two descriptions, each found at rank 1 of its own list, one behind the other's false alarm."""
    file = truth([described(5, "a", 1), described(6, "b", 1)], [annotated(1, 1, HERE, 5), annotated(2, 1, HERE, 6)])
    scores = omnilabel.score(file, [found(1, HERE, d5=0.9), found(1, THERE, d5=0.5), found(1, HERE, d6=0.4)])
    assert scores["ap_descr"] == pytest.approx((51 + 50 * 2 / 3) / 101)


def test_words_are_what_split_gives():
    texts = {3: "one  two\tthree", 4: "wine-glass on the table", 8: "a b c d e f g h", 9: "a b c d e f g h i"}
    descriptions = [described(number, text, 1) for number, text in texts.items()]
    file = truth(descriptions, [annotated(number, 1, HERE, number) for number in texts])
    short, medium, long = (
        [omnilabel.score(file, [found(1, HERE, **{f"d{number}": 1.0})])[f"ap_descr_{size}"] > 0 for number in texts]
        for size in "sml"
    )
    assert (short, medium, long) == ([1, 0, 0, 0], [0, 1, 1, 0], [0, 0, 0, 1])


def test_at_a_tie_images_go_by_id_and_descriptions_by_file_order():
    right_first = [described(9, "a", 1, 2), described(5, "b", 1, 2)]
    annotations = [annotated(1, 1, HERE, 9)]
    predictions = [found(2, HERE, d5=1.0), found(1, HERE, d5=1.0, d9=1.0)]
    scores = [
        omnilabel.score(truth(order, annotations, images), predictions)["ap_descr"]
        for order, images in ((right_first, (2, 1)), (right_first[::-1], (2, 1)))
    ]
    assert scores == [pytest.approx(1), pytest.approx(1 / 2)]


def test_at_a_tie_within_a_pair_the_order_of_the_file_decides():
    hit, miss = found(1, HERE, d5=1.0), found(1, THERE, d5=1.0)
    scores = [omnilabel.score(ONE_OF_EACH, some)["ap_descr"] for some in ([hit, miss], [miss, hit])]
    assert scores == [pytest.approx(1), pytest.approx(1 / 2)]


def test_what_lies_outside_the_label_space_counts_for_nothing():
    right = [found(1, HERE, d5=0.5, d6=0.5), found(2, THERE, d6=0.5)]
    strangers = [found(1, THERE, d77=0.9), found(33, HERE, d5=0.9)]
    assert omnilabel.score(ONE_OF_EACH, strangers + right) == omnilabel.score(ONE_OF_EACH, right)


def test_a_crowd_absorbs_and_is_not_to_be_found():
    file = truth([described(5, "a", 1)], [annotated(1, 1, HERE, 5), annotated(2, 1, [40, 40, 50, 50], 5, iscrowd=1)])
    predictions = [found(1, THERE, d5=0.9), found(1, [60, 60, 9, 9], d5=0.8), found(1, HERE, d5=0.7)]
    assert omnilabel.score(file, predictions)["ap_descr"] == pytest.approx(1)


def test_an_annotation_with_the_id_zero_can_never_be_matched():
    file = truth([described(5, "a", 1)], [annotated(0, 1, HERE, 5)])
    assert omnilabel.score(file, [found(1, HERE, d5=0.9)])["ap_descr"] == 0


def test_only_the_hundred_best_of_a_pair_are_looked_at():
    misses = [found(1, THERE, d5=0.9) for _ in range(100)]
    assert omnilabel.score(ONE_OF_EACH, [*misses[:99], found(1, HERE, d5=0.1)])["ap_descr"] == pytest.approx(0.01)
    assert omnilabel.score(ONE_OF_EACH, [*misses, found(1, HERE, d5=0.1)])["ap_descr"] == 0


def test_a_score_that_is_not_a_number_ranks_last():
    predictions = [found(1, THERE, d5=float("nan")), found(1, HERE, d5=0.1)]
    assert omnilabel.score(ONE_OF_EACH, predictions)["ap_descr"] == pytest.approx(1)


@pytest.mark.parametrize("key", ["image_id", "bbox", "description_ids", "scores"])
def test_a_key_that_a_prediction_lacks_is_named(key):
    broken = found(1, HERE, d5=0.5)
    del broken[key]
    with pytest.raises(ScoringError, match=f"prediction 1 has no `{key}`"):
        omnilabel.score(ONE_OF_EACH, [found(1, HERE, d5=0.5), broken])


@pytest.mark.parametrize(
    ("table", "key", "complaint"),
    [
        ("annotations", "iscrowd", "ground truth annotation 0 has no `iscrowd`"),
        ("descriptions", "text", "ground truth description 0 has no `text`"),
        ("descriptions", "anno_info", "ground truth description 0 has no `anno_info`"),
        ("images", "id", "ground truth image 0 has no `id`"),
    ],
)
def test_a_key_that_the_ground_truth_lacks_is_named(table, key, complaint):
    file = copy.deepcopy(ONE_OF_EACH)
    del file[table][0][key]
    with pytest.raises(ScoringError, match=complaint):
        omnilabel.score(file, [])


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"scores": [0.1, 0.2]}, "prediction 0 has 1 `description_ids` but 2 `scores`"),
        ({"scores": [None]}, "prediction 0: `scores` must be numbers, found None"),
        ({"bbox": [1, 2, 3]}, "prediction 0: `bbox` must be four numbers"),
        ({"image_id": [1]}, "prediction 0: `image_id` must be a number or a text"),
    ],
)
def test_a_broken_value_is_named(changes, complaint):
    with pytest.raises(ScoringError, match=complaint):
        omnilabel.score(ONE_OF_EACH, [found(1, HERE, d5=0.5) | changes])


def test_a_description_that_lists_an_image_twice_is_refused():
    with pytest.raises(ScoringError, match="ground truth description 1: image 1 has description 5 twice"):
        omnilabel.score(truth([described(5, "a", 1), described(5, "b", 1)], []), [])


def test_files_without_their_tables_are_refused():
    with pytest.raises(ScoringError, match="ground truth has no `annotations`"):
        omnilabel.score({"images": [], "descriptions": []}, [])
    with pytest.raises(ScoringError, match="predictions must be a list, found dict"):
        omnilabel.score(ONE_OF_EACH, {"annotations": []})
    with pytest.raises(ScoringError, match="`info` has no `version`"):
        omnilabel.score(ONE_OF_EACH | {"info": {"name": "OmniLabel"}}, [])


def test_another_version_is_told(caplog):
    omnilabel.score(ONE_OF_EACH | {"info": {"name": "OmniLabel", "version": "0.1.4", "url": ""}}, [])
    assert "OmniLabel 0.1.4" in caplog.text
