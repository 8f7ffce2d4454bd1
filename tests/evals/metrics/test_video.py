"""J&F, video cgF1 and pHOTA on cases whose official value is known."""

import copy
import math

import numpy as np
import PIL.Image
import pytest

from evals.errors import ScoringError
from evals.metrics import jf, veval
from evals.metrics.official import cases

CASES = cases.load_cases("veval.json")


def clip(*frames: int) -> np.ndarray:
    """A video of 10 x 10 pixels; each frame shows object 1 in its first so many columns."""
    return np.array([np.tile(np.arange(10) < columns, (10, 1)) for columns in frames]).astype(np.uint8)


def test_a_late_entry_counts_from_its_first_frame_in_sav_and_from_the_start_in_davis():
    target, prediction = clip(5, 0, 0, 5, 5), clip(5, 0, 0, 0, 5)
    sav, davis = (jf.score([("v", prediction, target)], convention=name) for name in ("sav", "davis"))
    assert sav["j"] == 0
    assert davis["j"] == pytest.approx(100 * 2 / 3)
    assert davis["official"]["J-Recall"] == pytest.approx(2 / 3)


def test_first_and_last_frame_are_left_out_unless_wanted():
    target, prediction = clip(5, 5, 5), clip(0, 5, 0)
    assert jf.score([("v", prediction, target)])["jf"] == 100
    assert jf.score([("v", prediction, target)], skip_first_and_last=False)["jf"] == pytest.approx(100 / 3)


def test_the_boundary_tolerates_the_share_of_the_diagonal_and_no_more():
    """The diagonal of 10 x 10 pixels allows one pixel."""
    scores = [jf.compute_boundary_accuracy(clip(columns)[0] > 0, clip(5)[0] > 0) for columns in (6, 7)]
    assert scores == [1, 0]
    assert jf.compute_region_overlap(clip(0)[0] > 0, clip(0)[0] > 0) == 1


def test_a_mask_without_boundary_is_one_that_fills_the_frame():
    assert jf.compute_boundary_accuracy(clip(10)[0] > 0, clip(0)[0] > 0) == 1
    assert jf.compute_boundary_accuracy(clip(10)[0] > 0, clip(5)[0] > 0) == 0


def test_objects_are_averaged_after_frames():
    target = np.where(clip(5, 5, 5, 5) > 0, 1, 2)
    prediction = np.where(target == 1, 1, 0)
    assert jf.score([("v", prediction, target)])["per_object"] == {("v", 1): (100, 100), ("v", 2): (0, 0)}


def test_davis_takes_void_pixels_for_background_and_refuses_objects_that_the_first_frame_lacks():
    void = np.where(clip(5, 5, 5) > 0, 1, 255).astype(np.uint8)
    assert jf.score([("v", clip(5, 5, 5), void)], convention="davis")["jf"] == 100
    with pytest.raises(ScoringError, match="video 'v': the prediction has an object 2, the first frame has 1"):
        jf.score([("v", 2 * clip(5, 5, 5), clip(5, 5, 5))], convention="davis")


def test_masks_that_do_not_fit_and_videos_without_objects_are_refused():
    with pytest.raises(ScoringError, match="video 'v': prediction is"):
        jf.score([("v", clip(5), clip(5, 5))])
    with pytest.raises(ScoringError, match="no object is in any target"):
        jf.score([("v", clip(5, 5, 5), clip(0, 0, 0))])


def test_folders_are_read_in_either_form(tmp_path):
    for root, columns in (("targets", 5), ("predictions", 6)):
        for folder, value in (("flat", 3), ("deep/000", 255)):
            (tmp_path / root / folder).mkdir(parents=True)
            for number, frame in enumerate(clip(5, columns, 5)):
                PIL.Image.fromarray(frame * np.uint8(value)).save(tmp_path / root / folder / f"{number:05d}.png")
    videos = list(jf.read_folders(tmp_path / "targets", tmp_path / "predictions"))
    scores = jf.score(videos)
    assert scores["per_object"] == {
        ("deep/000", 1): (pytest.approx(500 / 6), 100),
        ("flat", 3): (pytest.approx(500 / 6), 100),
    }
    (tmp_path / "predictions/flat/00001.png").unlink()
    with pytest.raises(ScoringError, match=r"there is no mask .*00001\.png"):
        list(jf.read_folders(tmp_path / "targets", tmp_path / "predictions"))


@pytest.mark.parametrize("number", range(len(CASES)))
def test_a_case_scores_what_the_official_code_gives(number):
    case = CASES[number]
    before = copy.deepcopy(case)
    official = veval.score(case["ground_truth"], case["predictions"], case["iou_type"])["official"]
    assert official == {name: pytest.approx(value, abs=1e-12, nan_ok=True) for name, value in case["official"].items()}
    assert case == before


def test_without_pairs_there_is_phota_and_no_cgf1():
    truth = {name: value for name, value in CASES[0]["ground_truth"].items() if name != "video_np_pairs"}
    scores = veval.score(truth, CASES[0]["predictions"])
    assert "cgF1" not in scores
    assert scores["pHOTA"] > 0


MASK, EMPTY = {"size": [2, 2], "counts": "04"}, {"size": [2, 2], "counts": "4"}
TRUTH = {
    "videos": [{"id": 1, "file_names": ["1/0.jpg", "1/1.jpg"], "height": 2, "width": 2}],
    "categories": [{"id": 7, "name": "cup"}],
    "annotations": [
        {"id": 1, "video_id": 1, "category_id": 7, "iscrowd": 0, "areas": [4, None], "bboxes": [[0, 0, 2, 2], None]}
        | {"segmentations": [MASK, None]}
    ],
    "video_np_pairs": [{"video_id": 1, "category_id": 7}, {"video_id": 1, "category_id": 8}],
}


def followed(category=7, **changes):
    track = {"video_id": 1, "category_id": category, "score": 0.9, "areas": [4, 0], "bboxes": [[0, 0, 2, 2], [0] * 4]}
    return track | {"segmentations": [MASK, EMPTY]} | changes


def test_a_score_of_exactly_one_half_counts_for_cgf1_and_not_for_phota():
    scores = veval.score(TRUTH, [followed(score=0.5)])
    assert scores["pmF1"] == pytest.approx(99.99, abs=0.02)
    assert scores["pHOTA"] == 0


def test_negatives_come_from_the_listed_pairs_and_from_predictions_for_unlisted_ones():
    assert veval.score(TRUTH, [followed()])["IL_MCC"] == pytest.approx(1, abs=1e-5)
    assert veval.score(TRUTH, [followed(), followed(category=9)])["pairs"] == 3
    assert veval.score(TRUTH, [followed(), followed(category=9)])["IL_MCC"] == pytest.approx(0.5, abs=1e-5)


def test_the_image_level_score_at_a_threshold_is_undefined_where_nothing_matches():
    official = veval.score(TRUTH, [followed(category=8)])["official"]
    assert math.isnan(official["video_mask_demo_ilmcc_50"])


@pytest.mark.parametrize(
    ("predictions", "complaint"),
    [
        ([], "predictions: an empty list has no official score"),
        ([followed(video_id=2)], "prediction 0: video 2 is not in the ground truth"),
        ([followed(areas=[4])], "prediction 0: `areas`, `bboxes` and `segmentations` must have one entry per frame"),
        ([followed(segmentations=[None, None])], "prediction 0 has a frame with only some of area, box and mask"),
        ([followed(score="high")], "prediction 0: `score` must be a number"),
        ([{"video_id": 1}], "prediction 0 has no `category_id`"),
        ([followed(areas=[4], bboxes=[[0, 0, 2, 2]], segmentations=[MASK])], "prediction 0 has 1 frames, its video 2"),
    ],
)
def test_what_has_no_official_score_is_named(predictions, complaint):
    with pytest.raises(ScoringError, match=complaint):
        veval.score(TRUTH, predictions)
