"""Exports of what is final: read back by the libraries and the metrics that they are for."""

import hashlib
import json
import warnings
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from pycocotools.coco import COCO

from engine.errors import EngineError
from engine.exports.exporting import FORMS, export_engine_labels
from engine.exports.folders import fill_new_folder
from engine.exports.formats.verifier import VerifierExport
from engine.pairs import Correction, Judgement
from engine.states import StatePolicy, Thresholds
from evals.datasets.saco import load_silver
from evals.metrics import cgf1
from evals.metrics.cgf1 import Annotator
from sam3_tool.masks.rle import RleMask
from tests.engine.exports.conftest import LEFT, RIGHT, SIZE, draw_block

ODD_PHRASE = 'cup of "the\nking" \\ café 王'


def export(builder, tmp_path, form, **settings):
    return export_engine_labels(builder.store, tmp_path / f"out-{form}", form, **settings)


def read_lines(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def hash_folder(folder):
    """Relative name -> hash of every file."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture
def rich(judged):
    """`judged`, and: a phrase that is hard to quote, one that is refused, one that is unsure, and a test image."""
    first = next(judged.store.images()).key
    held_out = next(image.key for image in judged.store.images() if image.split == "test")
    judged.add_pair(first, ODD_PHRASE, (RIGHT,), ("accept", "accept"))
    judged.add_pair(first, "mood", (), ("whole_image",))
    unsure = judged.add_pair(first, "relic", ())
    judged.store.append(
        [
            Judgement(
                **{"pair": unsure, "stage": "ev", "choice": "ungroundable", "reason": "unsure", "by": f"human:{name}"},
                **{"at": 5.0, "drawn": "second"},
            )
            for name in ("anna", "ben")
        ]
    )
    judged.add_pair(held_out, "cup", (LEFT,), ("accept", "accept"))
    return judged


# --- SA-Co -----------------------------------------------------------------------------------------------------------


def test_saco_reads_back_bit_for_bit(rich, tmp_path):
    report = export(rich, tmp_path, "saco")
    path = report.folder / "silver_train_merged_test.json"
    annotator = Annotator.from_json(json.loads(path.read_text(encoding="utf-8")), name="written")
    found = {
        (entry["file_name"], entry["text_input"]): [
            RleMask.from_coco(target["segmentation"]) for target in annotator.get_targets(number)
        ]
        for number, entry in annotator.images.items()
    }
    assert found == {
        ("a.png", "cup"): [LEFT, RIGHT],
        ("a.png", "dog"): [],
        ("a.png", ODD_PHRASE): [RIGHT],
        ("sub/b.png", "dog"): [LEFT, RIGHT],
    }


def test_boxes_and_areas_of_saco_are_shares_that_give_the_pixels_back(rich, tmp_path):
    content = json.loads((export(rich, tmp_path, "saco").folder / "silver_train_merged_test.json").read_text("utf-8"))
    width, height = SIZE
    boxes = [
        [x * width, y * height, w * width, h * height] for x, y, w, h in (m["bbox"] for m in content["annotations"])
    ]
    np.testing.assert_allclose(boxes[:2], [[2, 3, 10, 15], [20, 5, 18, 20]], rtol=1e-15)
    assert [m["area"] * width * height for m in content["annotations"]][:2] == [150, 360]


def test_group_masks_are_crowds_and_leave_a_pair_exhaustive_by_pixels_alone(rich, tmp_path):
    content = json.loads((export(rich, tmp_path, "saco").folder / "silver_train_merged_test.json").read_text("utf-8"))
    [dog] = [pair for pair in content["images"] if pair["file_name"] == "sub/b.png"]
    assert (dog["is_instance_exhaustive"], dog["is_pixel_exhaustive"]) == (0, 1)
    assert [mask["iscrowd"] for mask in content["annotations"] if mask["image_id"] == dog["id"]] == [0, 1]


def test_the_data_set_of_the_evaluation_scores_the_truth_perfect_and_a_lie_not(rich, tmp_path):
    report = export(rich, tmp_path, "saco")
    dataset = load_silver(report.folder, "train", pictures=report.info["img_folder"])
    assert [sample.query for sample in dataset.list_samples()] == ["cup", "dog", ODD_PHRASE]
    image = dataset.list_samples()[0].open_image()
    assert (image.width, image.height) == SIZE
    content = json.loads((report.folder / "silver_train_merged_test.json").read_text("utf-8"))
    truth = [{**mask, "score": 1.0} for mask in content["annotations"]]
    (tmp_path / "truth.json").write_text(json.dumps(truth))
    assert dataset.score_file(tmp_path / "truth.json")["cgF1"] == pytest.approx(100, abs=0.02)
    (tmp_path / "lie.json").write_text(json.dumps(truth[:1]))
    assert dataset.score_file(tmp_path / "lie.json")["cgF1"] < 50


def test_three_people_who_each_finished_a_pair_make_three_files_with_the_same_ids(builder, tmp_path):
    image = builder.add_image("a.png")
    builder.add_pair(image, "dog", (), ("accept",))
    key = builder.add_pair(image, "cup", (LEFT, RIGHT), ("accept", "accept", "accept"))
    lone = draw_block(1, 1, 4, 4)
    values = {"pair": key, "exhaustive": True}
    builder.store.append(
        [
            Correction(**values, masks=(LEFT,), groups=(False,), by="human:ben", at=9.0),
            Correction(**values, masks=(lone, RIGHT), groups=(False, True), by="human:cleo", at=10.0),
        ]
    )
    folder = export(builder, tmp_path, "saco").folder
    files = [json.loads((folder / f"gold_train_merged_{one}_release_test.json").read_text()) for one in "abc"]
    assert [[pair["text_input"] for pair in file["images"]] for file in files] == [["cup"]] * 3
    assert len({pair["id"] for file in files for pair in file["images"]}) == 1
    masks = [[RleMask.from_coco(mask["segmentation"]) for mask in file["annotations"]] for file in files]
    assert masks == [[LEFT, RIGHT], [LEFT], [lone, RIGHT]]
    assert [file["images"][0]["is_instance_exhaustive"] for file in files] == [1, 1, 0]
    main = json.loads((folder / "silver_train_merged_test.json").read_text())
    assert {pair["text_input"]: pair["id"] for pair in main["images"]}["cup"] == files[0]["images"][0]["id"]


def test_two_opinions_are_no_gold_set(builder, tmp_path):
    key = builder.add_pair(builder.add_image("a.png"), "cup", (LEFT,), ("accept", "accept"))
    builder.store.append(
        [Correction(pair=key, masks=(), groups=(), exhaustive=True, by="human:ben", at=9.0)],
    )
    assert export(builder, tmp_path, "saco").files == ("silver_train_merged_test.json",)


# --- what is left out, and what every export says --------------------------------------------------------------------


def test_phrases_that_train_does_not_have_are_listed_by_split(rich, tmp_path):
    held_out = next(image.key for image in rich.store.images() if image.split == "test")
    rich.add_pair(held_out, "zebra", (), ("accept",))
    rich.add_pair(held_out, "never judged", ())
    folder = export(rich, tmp_path, "saco").folder
    assert json.loads((folder / "export.json").read_text("utf-8"))["zero_shot_phrases"] == {"test": ["zebra"]}


@pytest.mark.parametrize("form", [form for form in FORMS if form not in ("coco", "verifier")])
def test_what_is_not_final_is_left_out_and_listed(rich, tmp_path, form):
    report = export(rich, tmp_path, form)
    told = {row["phrase"]: row["reason"] for row in read_lines(report.folder / "excluded.jsonl")}
    assert told == {"cat": "open", "cup": "open", "mood": "rejected", "relic": "unsure"}
    assert report.info["excluded"] == {"open": 2, "rejected": 1, "unsure": 1}
    assert report.info["pairs"] == {"train": 4, "test": 1}
    assert report.info["log_position"] == rich.store.last_position
    assert report.info["decided_by"] == {"human": {"pairs": 5, "share": 1.0}}
    assert json.loads((report.folder / "export.json").read_text("utf-8")) == json.loads(json.dumps(report.info))


def test_shares_of_people_and_of_models_are_told_apart(builder, tmp_path):
    image = builder.add_image("a.png")
    builder.add_pair(image, "cup", (), ("accept",))
    said = Judgement(
        **{"pair": builder.add_pair(image, "dog"), "stage": "ev", "choice": "accept", "probability": 0.99},
        **{"by": "model:fitted@1", "at": 4.0, "drawn": "auto"},
    )
    builder.store.append([said])
    report = export(builder, tmp_path, "saco", policy=StatePolicy(ev=Thresholds(accept=0.9)))
    assert report.info["decided_by"] == {"human": {"pairs": 1, "share": 0.5}, "model": {"pairs": 1, "share": 0.5}}
    assert report.info["thresholds"]["ev"]["accept"] == 0.9
    alone = export_engine_labels(builder.store, tmp_path / "people", "saco")
    assert alone.info["decided_by"] == {"human": {"pairs": 1, "share": 1.0}}


@pytest.mark.parametrize("form", [form for form in FORMS if form != "coco"])
def test_the_same_labels_give_the_same_bytes(rich, tmp_path, form):
    once = hash_folder(export_engine_labels(rich.store, tmp_path / "once" / "out", form).folder)
    assert once == hash_folder(export_engine_labels(rich.store, tmp_path / "twice" / "out", form).folder)


@pytest.mark.parametrize("form", [form for form in FORMS if form != "coco"])
def test_a_forgotten_image_never_appears(rich, tmp_path, form):
    key = next(rich.store.images()).key
    rich.store.forget(key)
    folder = export(rich, tmp_path, form).folder
    assert all(key not in name for name in hash_folder(folder))
    content = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
    assert key.encode() not in content
    assert b"a.png" not in content


@pytest.mark.parametrize("form", FORMS)
def test_before_anything_is_final_nothing_is_written(builder, tmp_path, form):
    builder.add_pair(builder.add_image("a.png"), "cup", (LEFT,))
    with pytest.raises(EngineError, match="judge some"):
        export(builder, tmp_path, form)
    assert [path.name for path in tmp_path.iterdir() if "out" in path.name] == []


@pytest.mark.parametrize("form", FORMS)
def test_a_folder_that_holds_something_stays_as_it_is(rich, tmp_path, form):
    folder = tmp_path / f"out-{form}"
    folder.mkdir()
    (folder / "mine.txt").write_text("precious")
    with pytest.raises(EngineError, match="is not empty"):
        export(rich, tmp_path, form)
    assert hash_folder(folder).keys() == {"mine.txt"}


def test_two_exports_never_fill_one_folder_and_what_a_killed_one_left_is_removed(tmp_path):
    (tmp_path / ".unfinished-labels" / "views").mkdir(parents=True)
    (tmp_path / ".unfinished-labels.lock").touch()
    with fill_new_folder(tmp_path / "labels") as unfinished:
        assert [*unfinished.iterdir()] == []
        (unfinished / "kept").touch()
        with pytest.raises(EngineError, match="another export fills"), fill_new_folder(tmp_path / "labels"):
            pass
        assert (unfinished / "kept").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["labels"]
    assert [path.name for path in (tmp_path / "labels").iterdir()] == ["kept"]


def test_a_parent_that_is_a_file_is_told(rich, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(EngineError, match="cannot be written"):
        export_engine_labels(rich.store, tmp_path / "file" / "out", "saco")


@pytest.mark.parametrize("change", [Path.unlink, lambda path: PIL.Image.new("RGB", SIZE, "red").save(path)])
def test_an_image_that_is_gone_or_other_than_labelled_is_left_out_and_told_once(rich, tmp_path, change):
    change(rich.folder / "photos" / "a.png")
    notes = []
    report = export(rich, tmp_path, "parquet", on_note=notes.append)
    assert report.info["excluded"]["unreadable"] == 3
    assert len(notes) == 1
    assert "a.png" in notes[0]


def test_an_export_is_of_one_position_of_the_log_whatever_is_said_meanwhile(rich, tmp_path):
    """A correction that is appended while pairs are read has no part in it."""
    position = rich.store.last_position
    pair = next(pair for pair in rich.store.pairs() if pair.phrase == "cat")
    late = Correction(pair=pair.key, masks=(), groups=(), exhaustive=True, by="human:ben", at=9.0)
    histories = rich.store.iterate_histories(until=position)
    rich.store.append([late])
    assert {history.state.pair.phrase: history.state.name for history in histories}["cat"] == "ev"


# --- the other forms -------------------------------------------------------------------------------------------------


def test_coco_is_refused_while_the_vocabulary_is_open(rich, tmp_path):
    with pytest.raises(EngineError, match=r"4 of 9 pairs are not \(.* such as --to saco"):
        export(rich, tmp_path, "coco")


def test_coco_of_a_closed_vocabulary_is_read_by_pycocotools(builder, tmp_path):
    first, second = builder.add_image("a.png"), builder.add_image("b.png", split="val")
    builder.add_pair(first, "cup", (LEFT, RIGHT), ("accept", "accept", "accept"))
    builder.add_pair(first, "dog", (), ("accept",))
    builder.add_pair(second, "cup", (), ("accept",))
    builder.add_pair(second, "dog", (LEFT,), correction=((LEFT, RIGHT), (False, True), True))
    folder = export(builder, tmp_path, "coco").folder
    train, val = COCO(str(folder / "train.json")), COCO(str(folder / "val.json"))
    assert train.getCatIds() == val.getCatIds() == [1, 2]
    assert [train.cats[one["category_id"]]["name"] for one in train.anns.values()] == ["cup", "cup"]
    assert [one["bbox"] for one in train.anns.values()] == [[2, 3, 10, 15], [20, 5, 18, 20]]
    assert np.array_equal(train.annToMask(train.anns[1]).sum(), 150)
    assert [one["iscrowd"] for one in val.anns.values()] == [0, 1]


def test_parquet_is_read_by_datasets_with_everything_that_was_said(rich, tmp_path):
    import datasets

    folder = export(rich, tmp_path, "parquet", with_images=True).folder
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of that library
        files = {"train": str(folder / "train-*.parquet"), "test": str(folder / "test-*.parquet")}
        loaded = datasets.load_dataset("parquet", data_files=files, cache_dir=str(tmp_path / "cache"))
        loaded = loaded.cast_column("image", datasets.Image())
        rows = [*loaded["train"]]
    assert {name: len(part) for name, part in loaded.items()} == {"train": 4, "test": 1}
    cup = next(row for row in rows if row["phrase"] == "cup")
    assert [RleMask.from_coco(mask) for mask in cup["masks"]] == [LEFT, RIGHT]
    assert [(said["stage"], said["mask"], said["by"]) for said in cup["judgements"]] == [
        ("mv", 0, "human:anna"),
        ("mv", 1, "human:anna"),
        ("ev", None, "human:anna"),
    ]
    assert cup["image"].size == SIZE
    assert ODD_PHRASE in {row["phrase"] for row in rows}


def test_rows_of_parquet_without_images_name_files_that_are_there(rich, tmp_path):
    from pyarrow import parquet

    folder = export(rich, tmp_path, "parquet").folder
    table = parquet.read_table(folder / "train-00000.parquet")
    assert all(Path(row["path"]).is_file() and row["bytes"] is None for row in table["image"].to_pylist())
    assert json.loads(table.schema.metadata[b"sam3-agent"])["log_position"] == rich.store.last_position


def test_tars_are_read_by_webdataset_an_image_with_all_its_pairs(rich, tmp_path):
    import webdataset

    folder = export(rich, tmp_path, "webdataset").folder
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of that library
        loaded = [*webdataset.WebDataset(str(folder / "train-000000.tar"), shardshuffle=False).decode("rgb8")]
    assert [[pair["phrase"] for pair in sample["json"]["pairs"]] for sample in loaded] == [
        ["cup", "dog", ODD_PHRASE],
        ["dog"],
    ]
    assert loaded[0]["png"].shape == (*SIZE[::-1], 3)
    assert [RleMask.from_coco(mask) for mask in loaded[0]["json"]["pairs"][0]["masks"]] == [LEFT, RIGHT]


def test_a_full_tar_is_followed_by_another_and_no_sample_is_cut(builder, tmp_path):
    import tarfile

    from engine.exports.final_pairs import FinalPairs
    from engine.exports.formats.webdataset import write_webdataset

    for number in range(5):
        builder.add_pair(builder.add_image(f"{number}.png"), "cup", (), ("accept",))
    (tmp_path / "out").mkdir()
    pairs = FinalPairs(builder.store, tmp_path / "out", tmp_path / "out", policy=StatePolicy(), with_trail=True)
    names = write_webdataset(pairs, tmp_path / "out", tar_bytes=1700)
    assert len(names) > 1
    members = []
    for name in names:
        with tarfile.open(tmp_path / "out" / name) as tar:
            members.append(tar.getnames())
    assert sum(map(len, members)) == 10
    assert all(len({name.split(".")[0] for name in part}) == len(part) / 2 for part in members)


# --- examples for verifiers ------------------------------------------------------------------------------------------


def read_examples(folder, stage):
    return read_lines(folder / f"{stage}-train.jsonl")


def test_examples_are_chats_whose_letter_stands_for_the_right_answer(rich, tmp_path):
    folder = export(rich, tmp_path, "verifier").folder
    for stage, choices in (("mv", 5), ("ev", 6)):
        for example in read_examples(folder, stage):
            *question, answer = example["messages"]
            letter = answer["content"][0]["text"]
            assert len(example["order"]) == choices
            assert example["order"]["ABCDEF".index(letter)] == example["choice"]
            [shown] = [part["image"] for part in question[-1]["content"] if part["type"] == "image"]
            with PIL.Image.open(folder / shown) as view:
                assert max(view.size) <= 1024
            assert example["phrase"] in question[-1]["content"][1]["text"]
    orders = {tuple(example["order"]) for example in read_examples(folder, "ev")}
    assert len(orders) > 3


def test_corrections_become_examples_of_both_answers(rich, tmp_path):
    folder = export(rich, tmp_path, "verifier").folder
    told = {
        stage: sorted((e["phrase"], e["kind"], e["choice"]) for e in read_examples(folder, stage))
        for stage in ("mv", "ev")
    }
    assert ("dog", "finished", "accept") in told["ev"]
    assert ("cup", "hidden", "reject") in told["ev"]
    assert ("mood", "refused", "whole_image") in told["ev"]
    assert [one for one in told["mv"] if one[0] == "cup"] == [("cup", "judged", "accept")] * 2
    assert all(phrase not in ("cat", "relic") for phrase, _, _ in told["mv"] + told["ev"])


def test_group_masks_teach_nothing_of_single_masks(builder, tmp_path):
    image = builder.add_image("a.png")
    builder.add_pair(image, "dog", (LEFT,), correction=((LEFT, RIGHT), (False, True), True))
    folder = export(builder, tmp_path, "verifier").folder
    assert not (folder / "mv-train.jsonl").exists()
    assert [(one["kind"], one["choice"]) for one in read_examples(folder, "ev")] == [("finished", "accept")]


def test_a_drawn_mask_is_an_example_of_a_right_one(builder, tmp_path):
    builder.add_pair(builder.add_image("a.png"), "dog", (LEFT,), correction=((LEFT, RIGHT), (False, False), True))
    folder = export(builder, tmp_path, "verifier").folder
    assert [(one["kind"], one["choice"]) for one in read_examples(folder, "mv")] == [("added", "accept")]


def test_the_mask_of_a_sibling_is_wrong_under_the_phrase_of_the_negative(builder, tmp_path):
    image = builder.add_image("a.png")
    parent = builder.add_pair(image, "cup", (LEFT,), ("accept", "accept"))
    builder.add_pair(image, "mug", (), ("accept",), parent=parent)
    folder = export(builder, tmp_path, "verifier").folder
    assert [(one["phrase"], one["kind"], one["choice"]) for one in read_examples(folder, "mv")] == [
        ("cup", "judged", "accept"),
        ("mug", "sibling", "reject"),
    ]


def test_examples_are_of_one_position_of_the_log_whatever_is_said_of_the_positive_or_flagged_meanwhile(
    builder, tmp_path
):
    image = builder.add_image("a.png")
    parent = builder.add_pair(image, "cup", (LEFT,), ("accept", "accept"))
    negative = builder.add_pair(image, "mug", (), ("accept",), parent=parent)
    before, position = export(builder, tmp_path, "verifier").folder, builder.store.last_position
    late = {"by": "human:ben", "at": 9.0}
    other = Correction(pair=parent, masks=(RIGHT,), groups=(False,), exhaustive=True, **late)
    flag = Judgement(pair=negative, stage="ev", choice="flag", drawn="random", **late)
    builder.store.append([other, flag])
    (tmp_path / "late").mkdir()
    VerifierExport(builder.store, tmp_path / "late", position=position).write_files()
    for stage in ("mv", "ev"):
        assert read_examples(tmp_path / "late", stage) == read_examples(before, stage)


def test_scores_of_official_files_come_from_exported_files(rich, tmp_path):
    """The port of the official evaluator reads the files themselves, each annotator's."""
    path = export(rich, tmp_path, "saco").folder / "silver_train_merged_test.json"
    truth = [{**mask, "score": 0.9} for mask in json.loads(path.read_text("utf-8"))["annotations"]]
    scores = cgf1.score([path], truth)
    assert scores["IL_MCC"] == pytest.approx(1, abs=1e-5)
