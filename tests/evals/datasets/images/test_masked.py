"""ConverSeg and RefCOCOm: lists of queries with an image and a mask each."""

import json
import shutil

import numpy as np
import PIL.Image
import pytest
from typer.testing import CliRunner

from agent.cli.main import app
from evals.datasets.loading import load_dataset
from evals.errors import DatasetError
from evals.samples import Prediction

SPLITS = {"converseg": "human_annotated", "refcocom": "val_object_part", "pbench": "level_0"}
LISTS = {"converseg": "data/human_annotated.jsonl", "refcocom": "annotations/val_object_part.json"}


@pytest.fixture
def made(folders, tmp_path):
    """A function: name -> a copy of its folder, and the path of its list."""

    def copy(name):
        shutil.copytree(folders[name], tmp_path / name)
        return tmp_path / name, tmp_path / name / LISTS[name]

    return copy


@pytest.mark.parametrize("name", SPLITS)
def test_a_run_goes_from_official_files_to_a_report(name, folders, tmp_path):
    words = ["eval", "run", name, "--data", folders[name], "--split", SPLITS[name], "--out", tmp_path / "run"]
    made_by = ["--planner", "grammar", "--sam3", "tiny", "--limit", 2, "--pages", 1, "--draws", 20]
    done = CliRunner().invoke(app, [str(word) for word in (*words, *made_by)])
    assert done.exit_code == 0, done.stderr
    assert "2 scored, 0 failed" in done.stdout
    summary = json.loads((tmp_path / "run" / "scores.json").read_text())
    assert 0 <= summary["metrics"][summary["headline"]] <= 1
    assert (tmp_path / "run" / "report.html").exists()


@pytest.mark.parametrize("name", LISTS)
def test_the_truth_is_perfect_and_a_failure_is_an_empty_mask(name, folders, predicted, nothing):
    dataset = load_dataset(name, folders[name], SPLITS[name])
    samples = dataset.list_samples()
    truth = [predicted(sample.id, sample.target()[None]) for sample in samples]
    assert dataset.score(truth).metrics["giou"] == pytest.approx(1, abs=1e-5)
    empty = sum(not sample.target().any() for sample in samples)
    assert dataset.score(nothing(samples)).metrics["giou"] == pytest.approx(empty / len(samples), abs=1e-6)
    assert (empty > 0) == (name == "converseg")
    measure = dataset.build_measure(truth)
    assert measure([0, 0, 1]) == dataset.score([truth[0], truth[0], truth[1]]).metrics["giou"]


def test_concepts_are_rows_of_the_report_and_facts_are_told(folders):
    dataset = load_dataset("converseg", folders["converseg"], "human_annotated")
    assert len({sample.slices["concept"] for sample in dataset.list_samples()}) > 5
    info = dataset.collect_info()
    assert (info.samples, info.published, len(info.hash)) == (20, 493, 64)
    assert load_dataset("refcocom", folders["refcocom"], "val_object_part").collect_info().images == 18


def test_every_sentence_about_a_segment_is_a_sample(made):
    folder, file = made("refcocom")
    segments = json.loads(file.read_text())
    segments[0]["sentences"] = [{"sent": " The LEFT arm "}, {"sent": "an arm"}]
    file.write_text(json.dumps([segments[0], segments[0]]))
    samples = load_dataset("refcocom", folder, "val_object_part").list_samples()
    assert [(sample.id, sample.query) for sample in samples] == [
        ("0-0", "the left arm"),
        ("0-1", "an arm"),
        ("1-0", "the left arm"),
        ("1-1", "an arm"),
    ]


def test_white_alone_is_target_in_refcocom_and_all_but_black_in_converseg(made):
    for name, expected in (("refcocom", 1), ("converseg", 3)):
        folder, _ = made(name)
        dataset = load_dataset(name, folder, SPLITS[name])
        mask = dataset.dataset.queries[0].mask_path
        with PIL.Image.open(mask) as image:
            values = np.zeros((image.height, image.width), np.uint8)
        values[0, :4] = [0, 1, 254, 255]
        PIL.Image.fromarray(values).save(mask)
        assert dataset.list_samples()[0].target().sum() == expected


def test_transparency_says_where_the_target_of_converseg_is(made):
    folder, _ = made("converseg")
    dataset = load_dataset("converseg", folder, "human_annotated")
    mask = dataset.dataset.queries[0].mask_path
    with PIL.Image.open(mask) as image:
        pixels = np.full((image.height, image.width, 4), [255, 255, 255, 0], np.uint8)
    pixels[1, 2] = [0, 0, 0, 9]
    PIL.Image.fromarray(pixels).save(mask)
    assert np.argwhere(dataset.list_samples()[0].target()).tolist() == [[1, 2]]


def test_lists_of_other_systems_are_read(made):
    """A byte-order mark, Windows' line ends and separators, an id that is a number, and none at all."""
    folder, file = made("converseg")
    lines = [json.loads(line) for line in file.read_text().splitlines()[:3]]
    lines[0]["mask"] = lines[0]["mask"].replace("/", "\\")
    lines[1]["id"] = 7
    del lines[2]["id"]
    file.write_bytes(b"\xef\xbb\xbf" + "".join(f"{json.dumps(line)}\r\n" for line in lines).encode())
    samples = load_dataset("converseg", folder, "human_annotated").list_samples()
    assert [sample.id for sample in samples] == ["scene_1", "7", "human_annotated_2"]
    (folder / "items.json").write_bytes(json.dumps({"dataset": "x", "count": 3, "items": lines}).encode("utf-16"))
    items = load_dataset("converseg", folder / "items.json", "items")
    assert [sample.query for sample in items.list_samples()] == [line["prompt"].strip() for line in lines]
    assert items.collect_info().published is None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"image": None}, "prompt 0: `image` must be a text, found None"),
        ({"image": "images/404.jpg"}, "human_annotated.jsonl, prompt 0 names images/404.jpg, which is not in"),
        ({"image": "x" * 5000}, "which is not in"),
        ({"mask": {"size": [1, 1]}}, "prompt 0: `mask` must be a text"),
        ({"prompt": " "}, "prompt 0: `prompt` must be a text"),
        ({"id": True}, "prompt 0: `id` must be a text or a whole number, found True"),
        ({"id": float("nan")}, "prompt 0: `id` must be a text or a whole number, found nan"),
        ({"id": "scene_2"}, "has the id 'scene_2' twice"),
    ],
)
def test_entries_of_converseg_that_cannot_be_asked_are_named(made, change, said):
    folder, file = made("converseg")
    first, *rest = file.read_text().splitlines()
    file.write_text("\n".join([json.dumps(json.loads(first) | change), *rest]))
    with pytest.raises(DatasetError, match=said):
        load_dataset("converseg", folder, "human_annotated")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "holds no query"),
        (b"{", "line 1 is not JSON"),
        (b"\n[1, 2]\n", "prompt 0 must be an object"),
        (b"\xff\xfe\x00", "cannot be read as text|is not JSON"),
        (b'{"id": "a"}', "prompt 0 has no `image`"),
    ],
)
def test_lists_of_converseg_that_are_none_are_named(made, content, said):
    folder, file = made("converseg")
    file.write_bytes(content)
    with pytest.raises(DatasetError, match=rf"human_annotated.jsonl.*({said})"):
        load_dataset("converseg", folder, "human_annotated")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "is not JSON"),
        ("{}", "the list of segments must be a list"),
        ("[]", "holds no query"),
        ("[5]", "segment 0 must be an object"),
        ("[{}]", "segment 0 has no `img_name`"),
        ('[{"img_name": 5}]', "segment 0: `img_name` must be a text, found 5"),
        ('[{"img_name": "404.jpg"}]', "segment 0 names 404.jpg, which is not in"),
        ('[{"img_name": "IMAGE"}]', "segment 0 has no `segment_id`"),
        ('[{"img_name": "IMAGE", "segment_id": [1]}]', "`segment_id` must be a number or a text"),
        ('[{"img_name": "IMAGE", "segment_id": 404}]', "segment 0 names 404.png, which is not in .*masks"),
        ('[{"img_name": "IMAGE", "segment_id": 1}]', "segment 0 has no `sentences`"),
        ('[{"img_name": "IMAGE", "segment_id": 1, "sentences": "the arm"}]', "`sentences` must be a list, found str"),
        ('[{"img_name": "IMAGE", "segment_id": 1, "sentences": ["a"]}]', "segment 0, sentence 0 must be an object"),
        ('[{"img_name": "IMAGE", "segment_id": 1, "sentences": [{"sent": ""}]}]', "`sent` must be a text, found ''"),
    ],
)
def test_lists_of_refcocom_that_are_none_are_named(made, content, said):
    folder, file = made("refcocom")
    file.write_text(content.replace("IMAGE", "COCO_train2014_000000000001.jpg"))
    with pytest.raises(DatasetError, match=said):
        load_dataset("refcocom", folder, "val_object_part")


@pytest.mark.parametrize("name", LISTS)
def test_masks_that_are_none_or_of_another_size_are_named(made, name):
    folder, _ = made(name)
    dataset = load_dataset(name, folder, SPLITS[name])
    query = dataset.dataset.queries[0]
    whole = query.mask_path.read_bytes()
    PIL.Image.new("L", (5, 7)).save(query.mask_path)
    with pytest.raises(DatasetError, match=rf"{query.mask_path.name} is 5 x 7 pixels, its image .* 160 x 120"):
        dataset.list_samples()[0].target()
    for content in (b"", b"<html>", whole[: len(whole) // 2]):
        query.mask_path.write_bytes(content)
        with pytest.raises(DatasetError, match=rf"{query.mask_path.name} cannot be read as a mask"):
            dataset.score([Prediction.make_failed(query.id, "")])


def test_splits_and_files_that_there_are_not_are_told(tmp_path):
    for name, said in (
        ("converseg", "sam_seeded, human_annotated, and items, not 'val'"),
        ("refcocom", "val_part_only, val_object_part, testA_part_only"),
        ("pbench", "level_4, dense, and all, not 'val'"),
    ):
        with pytest.raises(DatasetError, match=said):
            load_dataset(name, tmp_path, "val")
        with pytest.raises(DatasetError, match="nothing is downloaded here: get it from"):
            load_dataset(name, tmp_path, SPLITS[name])


def test_the_images_of_refcocom_may_lie_elsewhere(made, tmp_path):
    folder, _ = made("refcocom")
    (folder / "images").rename(tmp_path / "pictures")
    with pytest.raises(DatasetError, match="names COCO_train2014_0000000000"):
        load_dataset("refcocom", folder, "val_object_part")
    dataset = load_dataset("refcocom", folder, "val_object_part", pictures=tmp_path / "pictures")
    assert dataset.list_samples()[0].open_image().height in (120, 160)
