"""The official trainer's own code reads an export, and asks what was judged."""

import json
from functools import partial

import numpy as np
import PIL.Image
import pytest

from engine.exports.trainer import export_trainer
from sam3_tool.image import Image
from sam3_tool.masks import rle
from tests.engine.exports.conftest import LEFT, RIGHT


@pytest.fixture
def official():
    """The official modules; importing them takes seconds."""
    from sam3.train.data import coco_json_loaders, collator, sam3_image_dataset
    from sam3.train.transforms import basic_for_api, filter_query_transforms, segmentation

    return {
        **{"loaders": coco_json_loaders, "collator": collator, "datasets": sam3_image_dataset},
        **{"basic": basic_for_api, "filters": filter_query_transforms, "segmentation": segmentation},
    }


@pytest.fixture
def exported(judged, tmp_path, monkeypatch):
    report = export_trainer(judged.store, tmp_path / "labels")
    monkeypatch.syspath_prepend(str(report.folder))
    return report


def read_config(folder):
    from omegaconf import OmegaConf

    return OmegaConf.load(folder / "trainer.yaml")


def open_dataset(official, folder, transforms=(), loader=None, ann_file="train.json"):
    """Open the official dataset with the lines of `trainer.yaml`."""
    from hydra.utils import instantiate

    lines = read_config(folder).trainer.data.train.dataset
    return official["datasets"].Sam3ImageDataset(
        img_folder=lines.img_folder,
        ann_file=str(folder / ann_file),
        transforms=list(transforms),
        max_ann_per_img=200,
        multiplier=1,
        training=True,
        load_segmentation=lines.load_segmentation,
        max_train_queries=lines.max_train_queries,
        coco_json_loader=loader or instantiate(lines.coco_json_loader),
    )


def list_queries(dataset):
    """Phrase -> (query, image) of each datapoint."""
    points = [dataset[index] for index in range(len(dataset))]
    return [
        {query.query_text: (query, point.images[query.image_id]) for query in point.find_queries} for point in points
    ]


def test_the_official_dataset_asks_what_was_judged(official, exported, result):
    first, second = list_queries(open_dataset(official, exported.folder))
    told = {phrase: (query.is_exhaustive, query.is_pixel_exhaustive) for phrase, (query, _) in first.items()}
    assert told == {"cup": (True, True), "dog": (True, True), "cat": (False, False)}
    assert [(*second, query.is_exhaustive, query.is_pixel_exhaustive) for query, _ in second.values()] == [
        ("dog", False, True)
    ]
    result["datapoints"], result["queries"] = 2, len(first) + len(second)


def test_boxes_are_pixels_of_the_masks_and_masks_are_bit_exact(official, exported):
    first, _ = list_queries(open_dataset(official, exported.folder, [official["segmentation"].DecodeRle()]))
    query, image = first["cup"]
    shown = [image.objects[index] for index in query.object_ids_output]
    assert [thing.bbox.round().int().tolist() for thing in shown] == [[2, 3, 12, 18], [20, 5, 38, 25]]
    for thing, mask in zip(shown, (LEFT, RIGHT), strict=True):
        assert np.array_equal(np.asarray(thing.segment, bool), rle.decode_mask(mask))
    assert first["dog"][0].object_ids_output == []


def test_the_official_filter_of_groups_leaves_the_single_mask(official, exported):
    crowds = official["filters"].FlexibleFilterFindGetQueries(official["filters"].FilterCrowds())
    _, second = list_queries(open_dataset(official, exported.folder, [crowds]))
    query, image = second["dog"]
    assert [image.objects[index].is_crowd for index in query.object_ids_output] == [0]


def test_the_official_collator_carries_what_weak_loss_needs(official, exported):
    steps = [official["segmentation"].DecodeRle(), official["basic"].ToTensorAPI()]
    steps.append(official["basic"].NormalizeAPI(mean=[0.5] * 3, std=[0.5] * 3))
    dataset = open_dataset(official, exported.folder, steps)
    batch = official["collator"].collate_fn_api([dataset[0]], dict_key="all", with_seg_masks=True)["all"]
    targets = batch.find_targets[0]
    texts = [batch.find_text_batch[index] for index in batch.find_inputs[0].text_ids.tolist()]
    assert dict(zip(texts, targets.is_exhaustive.tolist(), strict=True)) == {"cup": True, "dog": True, "cat": False}
    assert dict(zip(texts, targets.num_boxes.tolist(), strict=True)) == {"cup": 2, "dog": 0, "cat": 1}


def test_the_official_reader_of_coco_would_teach_wrong_negatives(official, exported, tmp_path, result):
    """Why there is a class of our own: the same labels as COCO, closed by force."""
    saco = json.loads((exported.folder / "train.json").read_text())
    phrases = {phrase: number for number, phrase in enumerate(sorted({e["text_input"] for e in saco["images"]}))}
    names = {name: number for number, name in enumerate(dict.fromkeys(e["file_name"] for e in saco["images"]))}
    pairs = {entry["id"]: entry for entry in saco["images"]}
    forced = {
        "images": [{"id": n, "file_name": name, "width": 40, "height": 30} for name, n in names.items()],
        "categories": [{"id": number, "name": phrase} for phrase, number in phrases.items()],
        "annotations": [
            {**mask, "image_id": names[pair["file_name"]], "category_id": phrases[pair["text_input"]]}
            for mask in saco["annotations"]
            for pair in [pairs[mask["image_id"]]]
        ],
    }
    (tmp_path / "forced.json").write_text(json.dumps(forced))
    loader = official["loaders"].COCO_FROM_JSON(str(tmp_path / "forced.json"))
    asked = [query for n in loader.getDatapointIds() for query in loader.loadQueriesAndAnnotationsFromDatapoint(n)[0]]
    assert len(asked) == len(names) * len(phrases) == 6
    assert all(query["is_exhaustive"] for query in asked)
    result["queries of the official reader for the same labels"] = len(asked)


def test_the_official_reader_of_coco_reads_a_closed_vocabulary(official, builder, tmp_path, monkeypatch):
    first, second = builder.add_image("a.png"), builder.add_image("b.png")
    builder.add_pair(first, "cup", (LEFT, RIGHT), ("accept", "accept", "accept"))
    builder.add_pair(second, "cup", (), ("accept",))
    report = export_trainer(builder.store, tmp_path / "labels", plain_coco=True)
    monkeypatch.syspath_prepend(str(report.folder))
    loader = partial(official["loaders"].COCO_FROM_JSON)
    plain = list_queries(open_dataset(official, report.folder, loader=loader, ann_file="train_coco.json"))
    ours = list_queries(open_dataset(official, report.folder))
    for one, other in zip(plain, ours, strict=True):
        assert list(one) == list(other)
        for phrase, (query, image) in one.items():
            twin, same = other[phrase]
            assert query.is_exhaustive == twin.is_exhaustive
            boxes, twins = (
                [thing.objects[index].bbox.tolist() for index in asked.object_ids_output]
                for asked, thing in ((query, image), (twin, same))
            )
            assert np.allclose(boxes, twins, atol=1e-4)


def test_the_official_evaluation_reads_the_same_file_a_pair_at_a_time(official, exported):
    loader = official["loaders"].SAM3_EVAL_API_FROM_JSON_NP(str(exported.folder / "train.json"))
    asked = [loader.loadQueriesAndAnnotationsFromDatapoint(number)[0][0] for number in loader.getDatapointIds()]
    assert [query["query_text"] for query in asked] == ["cup", "dog", "cat", "dog"]


def save_turned(pixels, path):
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    marked = pixels.copy()
    marked[:10] = 255
    PIL.Image.fromarray(marked).save(path, exif=exif)


def test_a_photograph_on_its_side_is_seen_as_it_was_labelled(official, builder, tmp_path, monkeypatch):
    key = builder.add_image("a.png", save=save_turned)
    builder.add_pair(key, "cup", (), ("accept",))
    report = export_trainer(builder.store, tmp_path / "labels")
    monkeypatch.syspath_prepend(str(report.folder))
    [point] = open_dataset(official, report.folder)
    assert Image(np.asarray(point.images[0].data)).key == key
