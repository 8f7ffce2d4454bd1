"""Data of one's own and benchmark files, as people reported them: polygons that are none, and what was misread."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from agent.cli.main import app
from evals.datasets.loading import load_dataset
from evals.datasets.synthetic.make_scenes import write_scenes
from evals.metrics import reasonseg

pytestmark = pytest.mark.usefixtures("tiny")  # which every command then shares

CASES = Path(__file__).parent


def evaluate(*words: object) -> "tuple[int, str]":
    """Exit code, and what is said."""
    done = CliRunner().invoke(app, ["eval", *map(str, words)])
    return done.exit_code, done.stderr if done.exit_code else done.stdout


def refused(*words: object) -> str:
    """The one line with which a command ends that cannot be carried out."""
    code, said = evaluate(*words)
    assert (code, said.count("\n")) == (2, 1), said
    return said


def score(case: str) -> str:
    return refused("score", "own", "--data", CASES / case, "--predictions", CASES / case / "none.json")


def test_a_coordinate_that_is_no_number_is_refused_before_it_is_drawn():
    said = score("not-a-number")
    assert "annotations.json, annotation 1: the coordinates of a polygon are pixels" in said
    assert "found nan" in said


def test_a_polygon_of_two_points_is_refused_wherever_it_stands(tmp_path):
    said = score("order")
    assert "annotation 1: a polygon has three points or more, each an x and a y, found [1, 1, 5, 5]" in said
    content = json.loads((CASES / "order" / "annotations.json").read_bytes())
    content["annotations"][0]["segmentation"].reverse()
    (tmp_path / "annotations.json").write_text(json.dumps(content))
    (tmp_path / "a.png").write_bytes((CASES / "order" / "a.png").read_bytes())
    there = CASES / "order" / "none.json"
    assert "a polygon has three points" in refused("score", "own", "--data", tmp_path, "--predictions", there)


@pytest.mark.parametrize("segmentation", [[[1, 1, 5, 5]], [[1, 1]], [[]], [["a", "b", 1, 2, 3, 4]]])
def test_refcoco_names_the_annotation_of_a_polygon_that_is_none(segmentation, tmp_path):
    folders = write_scenes(tmp_path / "data", number=4, sizes=((64, 48),))
    (tmp_path / "p.json").write_text("[]")
    for name in ("refcoco", "grefcoco"):
        [file] = folders[name].rglob("instances.json")
        content = json.loads(file.read_bytes())
        for annotation in content["annotations"]:
            annotation["segmentation"] = segmentation
        file.write_text(json.dumps(content))
        said = refused("score", name, "--data", folders[name], "--split", "val", "--predictions", tmp_path / "p.json")
        assert f"{file}, annotation " in said


def test_the_names_of_categories_are_asked_where_annotations_have_no_captions():
    code, said = evaluate("check", "own", "--data", CASES / "coco-without-captions")
    assert (code, "1 of 1 queries are names of categories" in said) == (0, True)
    [sample] = load_dataset("own", CASES / "coco-without-captions").list_samples()
    assert (sample.query, sample.target().sum()) == ("cup", 24)


def test_what_is_transparent_in_a_mask_is_no_target():
    [sample] = load_dataset("own", CASES / "mask-in-alpha").list_samples()
    assert sample.target().sum() == 24


def test_an_image_id_that_is_there_twice_is_refused():
    assert "`images` has the id 4 twice" in refused("check", "own", "--data", CASES / "same-id-twice")


def test_images_with_other_endings_are_read():
    samples = load_dataset("reasonseg", CASES / "other-endings", "val").list_samples()
    assert [Path(sample.source).name for sample in samples] == ["a.jpg", "b.JPG", "c.jpeg"]


def test_a_text_that_stands_alone_is_asked_whole():
    [sample] = load_dataset("reasonseg", CASES / "text-as-a-string", "val").list_samples()
    assert sample.query == "the thing"


def test_json_with_a_byte_order_mark_is_read():
    [sample] = load_dataset("reasonseg", CASES / "byte-order-mark", "val").list_samples()
    assert sample.query == "the thing"


def test_masks_are_those_of_the_published_numbers_whatever_opencv_is_installed(tmp_path):
    annotations = json.loads((CASES / "reasonseg-polygons" / "annotations.json").read_bytes())
    with np.load(CASES / "reasonseg-polygons" / "masks.npz") as masks:
        assert len(annotations) == len(masks) == 24
        for annotation, name in zip(annotations, masks, strict=True):
            (tmp_path / "a.json").write_text(json.dumps(annotation))
            mask, _, _ = reasonseg.load_annotation(tmp_path / "a.json", annotation["height"], annotation["width"])
            assert np.array_equal(mask, masks[name])
