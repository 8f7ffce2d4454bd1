"""ReasonSeg's metric and masks on cases whose official value is known by hand."""

import json

import numpy as np
import pytest

from evals.errors import ScoringError
from evals.metrics import reasonseg, refcoco

EMPTY, FULL = np.zeros((4, 4), bool), np.ones((4, 4), np.uint8)


def annotation(folder, *shapes, encoding="utf-8", **changes):
    file = {"shapes": [{"label": label, "points": points} for label, points in shapes], "text": ["a “thing”", "other"]}
    path = folder / "picture.json"
    path.write_bytes(json.dumps(file | {"is_sentence": True} | changes, ensure_ascii=False).encode(encoding))
    return path


def test_two_empty_masks_score_one_and_a_missed_target_zero():
    assert reasonseg.score([(EMPTY, FULL * 0)])["giou"] == pytest.approx(1 / (1 + 1e-5))
    assert reasonseg.score([(EMPTY, FULL)])["giou"] == 0


def test_three_perfect_samples_give_the_official_ceiling():
    whole = np.ones((400, 400), np.uint8)
    assert reasonseg.score([(whole > 0, whole)] * 3)["giou"] == pytest.approx(0.9999967, abs=5e-8)


def test_if_every_union_is_empty_ciou_is_zero_while_giou_is_one():
    scores = reasonseg.score([(EMPTY, FULL * 0)] * 4)
    assert (scores["giou"], scores["ciou"]) == (pytest.approx(1, abs=1e-5), 0)


def test_ignored_pixels_count_neither_way():
    target = np.array([[1, 0, 255, 255]], np.uint8)
    prediction = np.array([[True, False, True, False]])
    assert reasonseg.score([(prediction, target)])["ciou"] == pytest.approx(1)


def test_a_prediction_wholly_inside_ignored_pixels_scores_one():
    assert reasonseg.score([(FULL > 0, FULL * 255)])["giou"] == pytest.approx(1, abs=1e-4)


def test_giou_is_a_mean_and_ciou_a_ratio_of_sums():
    target = np.ones((1, 100), np.uint8)
    half = np.arange(100)[None] < 50
    small = np.array([[1, 0]], np.uint8)
    scores = reasonseg.score([(half, target), (small > 0, small)])
    assert scores["giou"] == pytest.approx(0.75, abs=1e-4)
    assert scores["ciou"] == pytest.approx(51 / 101)


def test_in_the_hf_convention_ignored_pixels_are_target_and_an_empty_union_scores_zero():
    target = np.array([[1, 255, 0, 0]], np.uint8)
    scores = reasonseg.score([(target == 1, target), (target > 255, target * 0)], convention="hf-bool")
    assert (scores["giou"], scores["ciou"]) == (0.25, 0.5)


def test_sums_are_those_of_float32():
    """16,777,217 pixels are not a float32 number."""
    whole = np.ones((1, 2**24 + 1), np.uint8)
    small = np.ones((1, 1), np.uint8)
    assert reasonseg.score([(whole > 0, whole), (small > 1, small)])["ciou"] == 1


def test_masks_of_different_sizes_are_refused():
    with pytest.raises(ValueError, match=r"pair 1: .*expected masks of one size"):
        reasonseg.score([(EMPTY, FULL), (np.zeros((2, 2), bool), np.zeros((3, 2), np.uint8))])


def test_no_pairs_and_unknown_conventions_have_no_score():
    with pytest.raises(ScoringError, match="no pairs"):
        reasonseg.score([])
    with pytest.raises(ScoringError, match="'lisa', 'hf-bool' or 'converseg', found 'mean'"):
        reasonseg.score([(EMPTY, FULL)], convention="mean")


def test_coordinates_are_cut_off_towards_zero_and_the_outline_belongs_to_the_mask(tmp_path):
    path = annotation(tmp_path, ("target", [[-0.9, -0.9], [2.9, 0], [2.9, 2.9], [0, 2.9]]))
    mask, texts, is_sentence = reasonseg.load_annotation(path, 5, 5)
    assert mask.tolist() == [[1, 1, 1, 0, 0]] * 3 + [[0] * 5] * 2
    assert mask.dtype == np.uint8
    assert (texts, is_sentence) == (["a “thing”", "other"], True)


def test_small_shapes_are_painted_over_large_ones_whatever_their_order(tmp_path):
    small, large = [[1, 1], [2, 1], [2, 2], [1, 2]], [[0, 0], [5, 0], [5, 5], [0, 5]]
    for shapes in ([("ignore", small), ("cup", large)], [("cup", large), ("ignore", small)]):
        mask = reasonseg.load_annotation(annotation(tmp_path, *shapes), 8, 8)[0]
        assert mask[1, 1] == 255
        assert mask[4, 4] == 1


def test_a_flag_is_left_out_a_flagpole_is_target_and_any_ignore_in_a_label_ignores(tmp_path):
    shapes = [("FLAG", [[0, 0]]), ("flagpole", [[2, 0]]), ("please IGNORE it", [[4, 0]])]
    mask = reasonseg.load_annotation(annotation(tmp_path, *shapes), 1, 6)[0]
    assert mask.tolist() == [[0, 0, 1, 0, 255, 0]]


def test_files_that_are_not_utf8_are_read_as_cp1252(tmp_path):
    assert reasonseg.load_annotation(annotation(tmp_path, encoding="cp1252"), 2, 2)[1][0] == "a “thing”"


@pytest.mark.parametrize(
    ("shape", "complaint"),
    [(("a", None), "`points` None are no polygon"), ((None, [[0, 0]]), "`label` must be a text, found None")],
)
def test_a_broken_shape_is_named(tmp_path, shape, complaint):
    with pytest.raises(ScoringError, match=complaint):
        reasonseg.load_annotation(annotation(tmp_path, shape, ("b", [[0, 0]])), 2, 2)


def test_a_broken_file_is_named(tmp_path):
    path = annotation(tmp_path)
    path.write_text("{", encoding="utf-8")
    with pytest.raises(ScoringError, match=r"picture\.json is not JSON"):
        reasonseg.load_annotation(path, 2, 2)
    with pytest.raises(ScoringError, match=r"gone\.json cannot be read"):
        reasonseg.load_annotation(tmp_path / "gone.json", 2, 2)
    path.write_text('{"shapes": [], "text": ["a"]}', encoding="utf-8")
    with pytest.raises(ScoringError, match=r"picture\.json has no `is_sentence`"):
        reasonseg.load_annotation(path, 2, 2)


def test_where_parts_of_a_refcoco_annotation_overlap_lisa_sees_neither_target_nor_ignored_pixels():
    parts = {"id": 7, "segmentation": [[0, 0, 4, 0, 4, 4, 0, 4], [2, 0, 6, 0, 6, 4, 2, 4]]}
    summed, union = (refcoco.build_target(parts, 4, 8, convention=name) for name in ("lisa", "rela"))
    assert summed[0].tolist() == [1, 1, 2, 2, 1, 1, 0, 0]
    assert union[0].tolist() == [1, 1, 1, 1, 1, 1, 0, 0]
    assert refcoco.score([(summed > 0, summed)])["ciou"] == pytest.approx(16 / 24)
    assert not refcoco.build_target({"segmentation": []}, 4, 8).any()


def test_a_refcoco_annotation_without_polygons_is_named():
    with pytest.raises(ScoringError, match="annotation 3: `segmentation` must be"):
        refcoco.build_target({"id": 3, "segmentation": {"counts": [3], "size": [1, 3]}}, 1, 3)
