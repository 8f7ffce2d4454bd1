import json
import subprocess
import sys

import numpy as np
import pytest
from pycocotools.coco import COCO

from sam3_tool import Instances
from sam3_tool.masks.boxes import masks_to_boxes
from sam3_tool.masks.rle import encode_masks


@pytest.fixture
def found() -> Instances:
    masks = np.random.default_rng(0).random((4, 20, 30)) < np.array([0.5, 0, 1, 0.01])[:, None, None]
    return Instances(masks, masks_to_boxes(masks), np.linspace(1, 0, 4, dtype=np.float32), 0.9, "speck")


def test_areas_count_pixels(found):
    assert found.areas.tolist() == found.masks.sum(axis=(1, 2)).tolist()
    assert Instances.empty(20, 30).areas.tolist() == []


@pytest.mark.parametrize("keep", [[2, 0], [], [3, 3, -1], [0, 1, 2, 3], [True, False, True, False], [True] * 4])
@pytest.mark.parametrize("encoded", [False, True])
def test_what_is_chosen_has_its_own_masks_compressed(found, keep, encoded):
    if encoded:
        assert list(found.rles) == encode_masks(found.masks)
    index = np.array(keep, dtype=bool if True in keep else int)
    chosen = found[index]
    assert (chosen.masks == found.masks[index]).all()
    assert (chosen.boxes == found.boxes[index]).all()
    assert chosen.scores.tolist() == found.scores[index].tolist()
    assert list(chosen.rles) == encode_masks(found.masks[index])


def test_indices_that_do_not_exist_are_refused(found):
    with pytest.raises(IndexError):
        found[[4]]
    with pytest.raises(IndexError):
        found[np.ones(3, bool)]


@pytest.fixture
def dataset(found):
    """The instances as a COCO file that pycocotools has read, masks as polygons or as run lengths."""

    def build(**options) -> COCO:
        dataset = COCO()
        dataset.dataset = {
            "images": [{"id": 7, "width": 30, "height": 20}],
            "categories": [{"id": 3, "name": "speck"}],
            "annotations": json.loads(json.dumps(found.to_coco(image_id=7, category_id=3, first_id=11, **options))),
        }
        dataset.createIndex()
        return dataset

    return build


@pytest.mark.parametrize("polygons", [False, True])
def test_pycocotools_reads_the_same_masks(found, dataset, polygons):
    annotations = dataset(polygons=polygons).loadAnns([11, 12, 13, 14])
    assert [annotation["image_id"] for annotation in annotations] == [7] * 4
    masks = np.zeros_like(found.masks)
    for mask, annotation in zip(masks, annotations, strict=True):
        if annotation["segmentation"]:  # an empty mask has no polygon
            mask[:] = dataset(polygons=polygons).annToMask(annotation)
    assert (masks == found.masks).all()
    assert [annotation["score"] for annotation in annotations] == found.scores.tolist()


def test_boxes_and_areas_for_coco_are_those_of_the_masks(found):
    for annotation, mask in zip(found.to_coco(), found.masks, strict=True):
        x, y, width, height = annotation["bbox"]
        assert [x, y, x + width, y + height] == masks_to_boxes(mask[None])[0].tolist()
        assert annotation["area"] == mask.sum()


def test_pycocotools_takes_them_as_results(found, dataset, capsys):
    results = dataset().loadRes(found.to_coco(image_id=7, category_id=3))
    assert (results.annToMask(results.loadAnns([1])[0]) == found.masks[0]).all()


def test_supervision_reads_masks_boxes_scores_and_phrase(found):
    detections = found.to_supervision()
    assert (detections.mask == found.masks).all()
    assert (detections.xyxy == found.boxes).all()
    assert detections.confidence.tolist() == found.scores.tolist()
    assert detections.data["class_name"].tolist() == ["speck"] * 4
    assert len(detections[detections.confidence > 0.5]) == 2
    assert detections.area.tolist() == found.areas.tolist()


def test_what_supervision_filtered_comes_back(found):
    detections = found.to_supervision()[::-1]
    back = Instances.from_supervision(detections)
    assert back.phrase == "speck"
    assert back.scores.tolist() == sorted(found.scores.tolist(), reverse=True)
    for score, mask, box in zip(back.scores, back.masks, back.boxes, strict=True):
        assert any(
            (mask == own).all() and (box == own_box).all()
            for own, own_box in zip(found.masks[found.scores == score], found.boxes[found.scores == score], strict=True)
        )
    none = Instances.from_supervision(detections[detections.confidence > 2])
    assert (len(none), none.masks.shape[1:], none.presence) == (0, found.size, 0.0)


def test_detections_of_another_model_are_taken_by_name(found):
    import supervision

    names = np.array(["cat", "dog", "cat", "cat"])
    detections = supervision.Detections(xyxy=found.boxes, mask=found.masks, data={"class_name": names})
    cats = Instances.from_supervision(detections, phrase="cat")
    assert (cats.phrase, cats.scores.tolist(), cats.presence) == ("cat", [1.0] * 3, 1.0)
    assert (cats.masks == found.masks[names == "cat"]).all()
    assert len(Instances.from_supervision(detections, phrase="cow")) == 0
    with pytest.raises(ValueError, match="several classes, cat, dog"):
        Instances.from_supervision(detections)
    with pytest.raises(ValueError, match="have no masks"):
        Instances.from_supervision(supervision.Detections(xyxy=found.boxes))


def test_nothing_found_converts_too():
    assert Instances.empty(20, 30).to_coco() == []
    assert len(Instances.empty(20, 30).to_supervision()) == 0


def test_without_supervision_one_sentence_says_what_to_install():
    program = (
        "import sys; sys.modules['supervision'] = None\n"
        "from sam3_tool import Instances, UserError\n"
        "try: Instances.empty(2, 3).to_supervision()\n"
        "except UserError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.count("\n") == 1
    assert "run `pip install supervision`" in done.stdout
