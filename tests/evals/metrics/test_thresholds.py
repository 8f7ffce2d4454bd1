"""What lies exactly on a threshold: in each metric, with the comparison and the number type of its official code."""

import numpy as np
import pytest

from evals.metrics import cgf1, counting, grec, gres, hota, jf, omnilabel, reasonseg, veval
from sam3_tool.masks import rle

TWENTIETHS = range(10, 20)
"""Of the ten thresholds .50, .55 … .95 of COCO."""


def strip(pixels: int, length: int = 20) -> np.ndarray:
    """bool, (1, length): the first so many pixels."""
    return (np.arange(length) < pixels)[None]


def saco(prediction: dict, iou_type: str) -> dict[str, float]:
    whole = rle.encode_mask(strip(20)).to_coco()
    image = {"id": 1, "is_instance_exhaustive": 1, "height": 1, "width": 20}
    target = {"id": 1, "image_id": 1, "category_id": 1, "iscrowd": 0, "segmentation": whole, "bbox": [0, 0, 20, 1]}
    truth = {"images": [image], "annotations": [target], "categories": [{"id": 1}]}
    prediction = {"image_id": 1, "category_id": 1, "segmentation": whole, "bbox": [0, 0, 20, 1]} | prediction
    return cgf1.score(truth, [prediction], iou_type)["official"]


@pytest.mark.parametrize("iou_type", ["segm", "bbox"])
@pytest.mark.parametrize(("score", "is_kept"), [(0.5, True), (np.nextafter(0.5, 0), False)])
def test_cgf1_keeps_a_score_of_one_half(iou_type, score, is_kept):
    assert (saco({"score": score}, iou_type)[f"cgF1_eval_{iou_type}_IL_recall"] > 0.9) == is_kept


@pytest.mark.parametrize("iou_type", ["segm", "bbox"])
@pytest.mark.parametrize("shared", TWENTIETHS)
def test_cgf1_counts_an_overlap_that_equals_a_threshold(iou_type, shared):
    """In float64, in which a quotient of whole pixels and the threshold of the same name are the same number."""
    mask = rle.encode_mask(strip(shared)).to_coco()
    found = saco({"score": 0.9, "segmentation": mask, "bbox": [0, 0, shared, 1]}, iou_type)
    assert found[f"cgF1_eval_{iou_type}_recall"] == pytest.approx((shared - 9) / 10, abs=1e-3)


@pytest.mark.parametrize("shared", TWENTIETHS)
def test_omnilabel_counts_an_overlap_that_equals_a_threshold(shared):
    target = omnilabel.Target([0, 0, 20, 1], crowd=False, ignored=False, counts=True)
    match = omnilabel.match_pair([target], [omnilabel.Detection([0, 0, shared, 1], 0.9)])
    numbers = omnilabel.score_matches([omnilabel.Pair((1, 1), "Dp", 2, 1)], [match])
    assert numbers["ap_descr"] == pytest.approx((shared - 9) / 10)


@pytest.mark.parametrize(("shared", "reached"), [(7, (1, 0, 0)), (8, (1, 1, 0)), (9, (1, 1, 1))])
def test_gres_counts_an_overlap_that_equals_a_threshold(shared, reached):
    scores = gres.score([(strip(shared, 10), strip(10, 10)), (strip(0, 10), strip(0, 10))])
    assert tuple(scores[f"precision_{at}"] for at in (0.7, 0.8, 0.9)) == reached


def test_grec_counts_a_generalised_overlap_of_one_half():
    for shared, is_right in ((5, True), (np.nextafter(np.float32(5), np.float32(0)), False)):
        scores = grec.score([([[0, 0, shared, 1]], [0.9], [[0, 0, 10, 1]]), ([], [], [])])
        assert scores["f1"] == (1 if is_right else 0.5)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("place", range(19))
def test_hota_matches_a_similarity_that_equals_alpha(place, dtype):
    """Masks are compared in float64, boxes in float32; alphas are a hair lower than their names, for both."""
    similarity = np.array([[(place + 1) / 20]], dtype)
    [track] = [np.zeros(1, int)]
    counted = hota.score_sequence([hota.FrameDetections(track, track, similarity)])["HOTA_TP"]
    assert counted.tolist() == [1.0] * (place + 1) + [0.0] * (18 - place)


@pytest.mark.parametrize("iou_type", ["segm", "bbox"])
@pytest.mark.parametrize(("score", "is_kept"), [(0.5, False), (np.nextafter(0.5, 1), True)])
def test_phota_leaves_out_a_score_of_one_half_and_cgf1_does_not(iou_type, score, is_kept):
    shapes = {"segmentations": [rle.encode_mask(strip(20)).to_coco()], "bboxes": [[0, 0, 20, 1]], "areas": [20]}
    pair = {"video_id": 1, "category_id": 1}
    truth = {"videos": [{"id": 1, "file_names": ["a"]}], "annotations": [pair | shapes | {"id": 1, "iscrowd": 0}]}
    found = veval.score(truth | {"video_np_pairs": [pair]}, [pair | shapes | {"score": score}], iou_type)
    assert (found["pHOTA"] > 99, found["pmF1"] > 99) == (is_kept, True)


@pytest.mark.parametrize("shared", TWENTIETHS)
def test_overlaps_of_whole_tracks_that_equal_a_threshold_are_counted(shared):
    """Masks in float64; boxes in float32, to which the thresholds are rounded, too."""
    pair = {"video_id": 1, "category_id": 1}

    def track(pixels: int) -> dict:
        mask = rle.encode_mask(strip(pixels)).to_coco()
        return pair | {"segmentations": [mask], "bboxes": [[0, 0, pixels, 1]], "areas": [pixels]}

    truth = {"videos": [{"id": 1, "file_names": ["a"]}], "annotations": [track(20) | {"id": 1, "iscrowd": 0}]}
    for iou_type in ("segm", "bbox"):
        found = veval.score(truth | {"video_np_pairs": [pair]}, [track(shared) | {"score": 0.9}], iou_type)
        assert found["pmF1"] == pytest.approx(10 * (shared - 9), abs=0.1)


def test_counting_keeps_what_shares_one_half_and_leaves_out_a_score_of_one_half():
    masks = np.array([strip(10), np.roll(strip(4), 8)])
    assert counting.count_instances(masks, [0.9, 0.8]) == 2
    assert counting.count_instances(masks, [0.9, 0.5]) == 1
    assert counting.count_instances(masks, [0.9, np.nextafter(0.5, 1)]) == 2


def test_recall_of_davis_leaves_out_a_frame_of_one_half():
    target = np.repeat(strip(20)[None].astype(np.uint8), 4, axis=0)
    for shared, recall in ((10, 0), (11, 1)):
        prediction = np.repeat(strip(shared)[None].astype(np.uint8), 4, axis=0)
        assert jf.score([("v", prediction, target)], convention="davis")["official"]["J-Recall"] == recall


def test_a_logit_of_zero_is_background():
    """`reasonseg` takes what is above 0 for predicted, as its official code does."""
    assert reasonseg.score([(np.zeros((1, 4)), strip(4, 4).astype(np.uint8))])["giou"] == 0
