"""Labels for the official trainer: what is asked, what is left out, and what is refused."""

import importlib.util
import json
from pathlib import Path
from shutil import copy

import numpy as np
import PIL.Image
import pytest

from engine.cli.export import describe_trainer_export
from engine.errors import EngineError
from engine.exports.judged_pairs import JudgedPairs
from engine.exports.trainer import export_trainer
from engine.pairs import Pair, Proposal
from engine.states import StatePolicy, Thresholds
from engine.store.reading import PAGE_ROWS
from sam3_tool.masks import rle
from sam3_tool.masks.rle import RleMask
from tests.engine.exports.conftest import LEFT, RIGHT, SIZE


def read_queries(loader):
    """(file name, phrase) -> (query, its annotations), over all datapoints."""
    found = {}
    for number in loader.getDatapointIds():
        [image] = loader.loadImagesFromDatapoint(number)
        queries, annotations = loader.loadQueriesAndAnnotationsFromDatapoint(number)
        by_id = {annotation["id"]: annotation for annotation in annotations}
        for query in queries:
            shown = [by_id[number] for number in query["object_ids_output"]]
            found[image["file_name"], query["query_text"]] = (query, shown)
    return found


@pytest.fixture
def exported(judged, tmp_path):
    return export_trainer(judged.store, tmp_path / "labels")


@pytest.fixture
def queries(exported):
    return read_queries(JudgedPairs(str(exported.folder / "train.json")))


def test_each_judged_pair_is_one_query_and_nothing_else_is(queries):
    assert set(queries) == {("a.png", "cup"), ("a.png", "dog"), ("a.png", "cat"), ("sub/b.png", "dog")}


def test_only_what_is_final_is_exhaustive(queries):
    told = {pair: (q["is_exhaustive"], q["is_pixel_exhaustive"], len(shown)) for pair, (q, shown) in queries.items()}
    assert told == {
        ("a.png", "cup"): (True, True, 2),
        ("a.png", "dog"): (True, True, 0),
        ("a.png", "cat"): (False, False, 1),
        ("sub/b.png", "dog"): (False, True, 2),
    }


def test_boxes_areas_and_masks_are_what_the_trainer_reads(queries):
    _, shown = queries["a.png", "cup"]
    width, height = SIZE
    assert shown[0]["bbox"] == pytest.approx([2 / width, 3 / height, 10 / width, 15 / height])
    assert shown[0]["area"] == pytest.approx(10 * 15 / (width * height))
    masks = [RleMask.from_coco(annotation["segmentation"]) for annotation in shown]
    assert np.array_equal(rle.decode_masks(masks, height, width), rle.decode_masks([LEFT, RIGHT], height, width))
    assert [annotation["is_crowd"] for annotation in queries["sub/b.png", "dog"][1]] == [0, 1]


def test_ids_of_a_datapoint_are_its_own(exported):
    loader = JudgedPairs(str(exported.folder / "train.json"))
    for number in loader.getDatapointIds():
        queries, annotations = loader.loadQueriesAndAnnotationsFromDatapoint(number)
        assert [query["id"] for query in queries] == list(range(len(queries)))
        assert [annotation["id"] for annotation in annotations] == list(range(len(annotations)))
        named = [object_id for query in queries for object_id in query["object_ids_output"]]
        assert named == list(range(len(annotations)))


@pytest.mark.parametrize("size", [1, 2, 3, 80, None])
def test_an_image_with_many_queries_becomes_several_datapoints_that_lose_none(exported, queries, size):
    loader = JudgedPairs(str(exported.folder / "train.json"), category_chunk_size=size)
    sizes = [len(loader.loadQueriesAndAnnotationsFromDatapoint(number)[0]) for number in loader.getDatapointIds()]
    assert max(sizes) <= (size or 3)
    assert sum(sizes) == 4
    assert {pair: len(shown) for pair, (_, shown) in read_queries(loader).items()} == {
        pair: len(shown) for pair, (_, shown) in queries.items()
    }


@pytest.mark.parametrize("size", [0, -1])
def test_chunks_of_nothing_are_refused(exported, size):
    with pytest.raises(ValueError, match="category_chunk_size is a whole number above 0 or null"):
        JudgedPairs(str(exported.folder / "train.json"), category_chunk_size=size)


def test_what_is_left_out_is_listed_with_its_reason(exported):
    rows = [json.loads(line) for line in (exported.folder / "excluded.jsonl").read_text().splitlines()]
    assert [(row["phrase"], row["reason"]) for row in rows] == [("cup", "undecided")]
    assert exported.excluded == {"undecided": 1}


def test_group_masks_alone_would_teach_that_nothing_is_there(judged, tmp_path):
    image = judged.add_image("c.png")
    judged.add_pair(image, "cup", (), correction=((LEFT,), (True,), True))
    report = export_trainer(judged.store, tmp_path / "labels")
    assert report.excluded["groups"] == 1


def test_labels_of_models_count_only_by_the_policy_and_say_so(builder, tmp_path):
    image = builder.add_image("a.png")
    key = builder.add_pair(image, "cup", (), ("accept",))
    other = builder.add_pair(image, "dog")
    from engine.pairs import Judgement

    said = Judgement(
        **{"pair": other, "stage": "ev", "choice": "accept", "probability": 0.99, "by": "model:fitted@1"},
        **{"at": 4.0, "drawn": "auto"},
    )
    builder.store.append([said])
    people = export_trainer(builder.store, tmp_path / "people")
    assert people.decided_by == {"human": 1}
    assert people.excluded == {"undecided": 1}
    both = export_trainer(builder.store, tmp_path / "both", policy=StatePolicy(ev=Thresholds(accept=0.9)))
    assert both.decided_by == {"human": 1, "model": 1}
    content = json.loads((both.folder / "train.json").read_text())
    assert {entry["pair"]: entry["decided_by"] for entry in content["images"]} == {key: "human", other: "model"}
    assert content["info"]["log_position"] == builder.store.last_position


def test_the_split_for_tests_stays_away_from_the_trainer(judged, tmp_path):
    held_out = next(image for image in judged.store.images() if image.split == "test")
    judged.add_pair(held_out.key, "cup", (LEFT,), ("accept", "accept"))
    report = export_trainer(judged.store, tmp_path / "labels")
    in_test = [one for one in judged.store.iterate_summaries() if one.split == "test"]
    assert f"kept from the trainer, of the split test: {len(in_test)}" in describe_trainer_export(report)
    assert "held-out" not in (tmp_path / "labels" / "train.json").read_text()
    assert not (tmp_path / "labels" / "test.json").exists()


def test_saco_readers_read_the_same_file(exported, judged):
    content = json.loads((exported.folder / "train.json").read_text())
    assert [entry["text_input"] for entry in content["images"]] == ["cup", "dog", "cat", "dog"]
    assert len({entry["id"] for entry in content["images"]}) == 4
    assert len({entry["id"] for entry in content["annotations"]}) == len(content["annotations"])
    assert all(0 <= number <= 1 for entry in content["annotations"] for number in (*entry["bbox"], entry["area"]))


def save_turned(pixels, path):
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    PIL.Image.fromarray(pixels).save(path, exif=exif)


def save_16_bits(pixels, path):
    wide = (np.linspace(0, 65535, pixels[..., 0].size).reshape(pixels.shape[:2])).astype(np.uint16)
    PIL.Image.fromarray(wide).save(path)


def save_with_alpha(pixels, path):
    alpha = np.full(pixels.shape[:2], 255, np.uint8)
    PIL.Image.fromarray(np.dstack([pixels, alpha])).save(path)


@pytest.mark.parametrize("save", [save_turned, save_16_bits, save_with_alpha])
def test_the_trainer_sees_the_pixels_that_were_labelled(builder, tmp_path, save):
    """Whatever the file is, what a plain reader opens under its name is what was judged."""
    key = builder.add_image("a.png", save=save)
    builder.add_pair(key, "cup", (), ("accept",))
    report = export_trainer(builder.store, tmp_path / "labels")
    content = json.loads((report.folder / "train.json").read_text())
    [entry] = content["images"]
    from sam3_tool.image import Image

    with PIL.Image.open(Path(content["info"]["img_folder"]) / entry["file_name"]) as file:
        assert file.size == (entry["width"], entry["height"])
        assert Image(np.asarray(file.convert("RGB"))).key == key


def test_an_image_that_is_gone_leaves_its_pairs_out_and_is_told(judged, tmp_path):
    (judged.folder / "photos" / "a.png").unlink()
    notes = []
    report = export_trainer(judged.store, tmp_path / "labels", on_note=notes.append)
    assert report.excluded == {"undecided": 1, "unreadable": 3}
    assert notes
    assert all("a.png" in note for note in notes)


def test_the_class_works_as_a_file_alone(exported, tmp_path):
    copy(exported.folder / "judged_pairs.py", tmp_path)  # byte code beside it would be a change of the export
    spec = importlib.util.spec_from_file_location("judged_pairs_alone", tmp_path / "judged_pairs.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert len(module.JudgedPairs(str(exported.folder / "train.json")).getDatapointIds()) == 2


def test_the_lines_for_the_config_name_files_that_are_there(exported):
    text = (exported.folder / "trainer.yaml").read_text()
    assert "@" not in text
    assert str(exported.folder / "train.json") in text
    assert "weak_loss: true" in text
    assert "_target_: judged_pairs.JudgedPairs" in text


# --- plain COCO ------------------------------------------------------------------------------------------------------


def test_plain_coco_is_refused_while_a_phrase_is_not_judged_everywhere(judged, tmp_path):
    with pytest.raises(EngineError, match=r"plain COCO needs every image .* 4 of 6 pairs are not \('cat' in 'a.png'"):
        export_trainer(judged.store, tmp_path / "labels", plain_coco=True)
    assert not (tmp_path / "labels").exists()
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".unfinished")] == []


def test_plain_coco_of_a_closed_vocabulary_has_boxes_in_pixels(builder, tmp_path):
    first, second = builder.add_image("a.png"), builder.add_image("b.png")
    builder.add_pair(first, "cup", (LEFT, RIGHT), ("accept", "accept", "accept"))
    builder.add_pair(second, "cup", (), ("accept",))
    export_trainer(builder.store, tmp_path / "labels", plain_coco=True)
    content = json.loads((tmp_path / "labels" / "train_coco.json").read_text())
    assert [image["file_name"] for image in content["images"]] == ["a.png", "b.png"]
    assert [mask["bbox"] for mask in content["annotations"]] == [[2, 3, 10, 15], [20, 5, 18, 20]]
    assert [mask["area"] for mask in content["annotations"]] == [150, 360]
    assert {mask["iscrowd"] for mask in content["annotations"]} == {0}
    assert content["categories"] == [{"id": 1, "name": "cup"}]


def test_plain_coco_numbers_its_categories_alike_in_every_split(builder, tmp_path):
    for name, split in (("a.png", "train"), ("b.png", "val")):
        image = builder.add_image(name, split=split)
        builder.add_pair(image, "cup", (LEFT,), ("accept", "accept"))
        builder.add_pair(image, "bowl", (), ("accept",))
    export_trainer(builder.store, tmp_path / "labels", plain_coco=True)
    files = [json.loads((tmp_path / "labels" / f"{split}_coco.json").read_text()) for split in ("train", "val")]
    assert [file["categories"] for file in files] == [[{"id": 1, "name": "bowl"}, {"id": 2, "name": "cup"}]] * 2
    assert [mask["category_id"] for file in files for mask in file["annotations"]] == [2, 2]


def test_plain_coco_is_refused_where_another_split_has_a_phrase_more(builder, tmp_path):
    builder.add_pair(builder.add_image("a.png"), "cup", (LEFT,), ("accept", "accept"))
    builder.add_pair(builder.add_image("b.png", split="val"), "bowl", (), ("accept",))
    with pytest.raises(EngineError, match=r"2 of 4 pairs are not \('bowl' in 'a.png'"):
        export_trainer(builder.store, tmp_path / "labels", plain_coco=True)


def test_a_file_is_written_piece_by_piece_as_it_would_be_at_once(exported):
    text = (exported.folder / "train.json").read_text(encoding="utf-8")
    assert text == json.dumps(json.loads(text), ensure_ascii=False)
    assert [path.name for path in exported.folder.iterdir() if path.name.startswith(".")] == []


@pytest.fixture
def changing(builder):
    """Returns an export during which something happens: where it tells that an image is gone."""
    first, gone = builder.add_image("a.png"), builder.add_image("gone.png")
    cup = builder.add_pair(first, "cup", (LEFT, RIGHT), ("accept", "accept", "accept"))
    builder.add_pair(gone, "cup", (LEFT,), ("accept", "accept"))
    (builder.folder / "photos" / "gone.png").unlink()
    names = [f"thing {number}" for number in range(PAGE_ROWS)]  # what comes later is read after it has happened
    builder.store.add_pairs([Pair(image=first, phrase=name, original=name, origin="list") for name in names])

    def export_while(change):
        folder = builder.folder / "labels"
        return export_trainer(builder.store, folder, on_note=lambda text: change(builder, cup))

    return export_while


def test_what_is_added_and_judged_meanwhile_has_no_part_in_an_export(changing):
    def add_image(builder, cup):
        builder.add_pair(builder.add_image("late.png"), "late", (LEFT,), ("accept", "accept"))

    report = changing(add_image)
    assert report.pairs == {"train": 1, "val": 0}
    assert "late" not in (report.folder / "excluded.jsonl").read_text()


def test_an_export_is_given_up_when_masks_are_proposed_again_meanwhile(changing):
    def propose_again(builder, cup):
        again = Proposal(pair=cup, masks=(RIGHT, LEFT), scores=(0.9, 0.8), presence=0.5, made_by="other")
        builder.store.add_proposals([again], at=5.0)

    with pytest.raises(EngineError, match="masks proposed again; export once more"):
        changing(propose_again)


# --- refusals --------------------------------------------------------------------------------------------------------


def test_a_folder_that_holds_something_is_refused(judged, tmp_path):
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "mine.txt").write_text("precious")
    with pytest.raises(EngineError, match="is not empty; name a folder that is empty"):
        export_trainer(judged.store, tmp_path / "labels")
    assert (tmp_path / "labels" / "mine.txt").read_text() == "precious"


@pytest.mark.parametrize("name", [".", "/"])
def test_a_folder_that_cannot_be_moved_into_place_is_refused(judged, tmp_path, monkeypatch, name):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(EngineError, match="name a new folder"):
        export_trainer(judged.store, Path(name))


def test_an_engine_in_which_nothing_is_judged_is_refused(builder, tmp_path):
    builder.add_pair(builder.add_image("a.png"), "cup", (LEFT,))
    builder.add_pair(builder.add_image("b.png", split="val"), "cup", (), ("accept",))
    with pytest.raises(EngineError, match=r"no pair of the split train is judged \(pairs by split: 1 train, 1 val\)"):
        export_trainer(builder.store, tmp_path / "labels")
    assert not (tmp_path / "labels").exists()
