"""`sam3-agent describe`, and `--concept` where a query is asked, as a person meets them."""

import json
import shutil
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from typer.testing import CliRunner

from agent.cli.main import app
from sam3_tool import Concept, Image

EXAMPLE = Path(__file__).parents[3] / "examples" / "scene.png"
MELON = "78,256,318,458"


@pytest.fixture(scope="module")
def described(tiny, tmp_path_factory) -> Path:
    """A folder with the example scene, and a concept of one of its watermelons."""
    folder = tmp_path_factory.mktemp("described")
    shutil.copy(EXAMPLE, folder / "scene.png")
    box = tuple(map(float, MELON.split(",")))
    tiny.describe(Image.open(EXAMPLE), boxes=[box]).save(folder / "thing.concept")
    return folder


@pytest.fixture
def here(described, tmp_path, monkeypatch) -> Path:
    shutil.copytree(described, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run_program(*words: object):
    return CliRunner().invoke(app, [*map(str, words)])


def test_boxes_and_masks_become_a_file(here):
    mask = np.zeros((480, 640), np.uint8)
    mask[256:458, 78:318] = 255
    PIL.Image.fromarray(mask).save("mask.png")
    done = run_program("describe", "scene.png", "--mask", "mask.png", "-o", "melon.concept")
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout == "melon.concept: 1 example, for tiny\n"
    assert Concept.load("melon.concept").key == Concept.load("thing.concept").key
    more = ("--not-box", "10,10,60,60", "--phrase", "fruit", "--add", "melon.concept", "--add", "thing.concept")
    done = run_program("describe", "scene.png", "--box", MELON, *more, "-o", "fruit.concept")
    assert done.stdout == "fruit.concept: 4 examples, for tiny\n"
    fruit = Concept.load("fruit.concept")
    assert (fruit.labels, fruit.phrase) == ((1, 0, 1, 1), "fruit")
    done = run_program("describe", "scene.png", "--box", MELON, *more, "--average", "-o", "fruit.concept")
    assert Concept.load("fruit.concept").labels == (1, 0)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "no example was given; show one with --box"),
        (("--box", "1,2,3"), "'1,2,3' is no box; expected x0,y0,x1,y1"),
        (("--box", "9,9,3,20"), "'9,9,3,20' is no box"),
        (("--box", "0,0,inf,20"), "is no box"),
        (("--not-box", "700,10,800,60"), "the box 700,10,800,60 lies outside the image, which is 640 wide"),
        (("--box", MELON, "--add", "scene.png"), "scene.png is no concept"),
        (("--mask", "black.png"), "covers no pixel"),
        (("--mask", "small.png"), "of the size of its image, (480, 640)"),
        (("--mask", "scene.png"), "--mask: scene.png is no mask, as no pixel of it is black"),
        (("--not-mask", "noise.png"), "--not-mask: noise.png is no mask, as it has the many shades of a photograph"),
        (("--mask", "none.png"), "no such file"),
        (("--mask", ""), "--mask: the path is empty"),
        (("--box", MELON, "--add", "other.concept"), "--add: the concept was made with the weights 'other'"),
        (("--box", MELON, "--phrase", "x", "--add", "named.concept"), "different phrases, 'cup' and 'x'"),
    ],
)
def test_bad_examples_are_one_line_and_nothing_is_written(here, words, said):
    PIL.Image.new("L", (640, 480)).save("black.png")
    PIL.Image.new("L", (64, 48), 255).save("small.png")
    noise = np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8)
    PIL.Image.fromarray(np.where(noise.max(axis=2, keepdims=True) > 128, noise, 0)).save("noise.png")
    thing = Concept.load("thing.concept")
    Concept(thing.examples, (1,), thing.surroundings, None, "ab" * 32, "other", "float32").save("other.concept")
    thing.with_phrase("cup").save("named.concept")
    done = run_program("describe", "scene.png", *words, "--out", "new.concept")
    assert (done.exit_code, done.stdout) == (2, "")
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not Path("new.concept").exists()


def test_a_file_that_cannot_be_written_is_one_line(here):
    done = run_program("describe", "scene.png", "--box", MELON, "--out", "nowhere/new.concept")
    assert (done.exit_code, done.stdout) == (2, "")
    assert "cannot write nowhere/new.concept" in done.stderr


def test_a_query_finds_by_its_examples_what_no_word_names(here):
    plain = run_program("segment", "scene.png", "all gizmos", "--json")
    done = run_program("segment", "scene.png", "all gizmos", "--json", "--concept", "gizmo=thing.concept")
    assert (plain.exit_code, done.exit_code) == (0, 0)
    assert (len(json.loads(plain.stdout)["masks"]), len(json.loads(done.stdout)["masks"])) == (0, 4)
    assert "does not know 'gizmo" in plain.stdout + plain.stderr
    assert "does not know 'gizmo" not in done.stdout + done.stderr
    largest = run_program("segment", "scene.png", "the largest thing", "--json", "--concept", "thing.concept")
    assert len(json.loads(largest.stdout)["masks"]) == 1


def test_a_concept_that_nobody_asked_for_is_told(here):
    done = run_program("segment", "scene.png", "watermelons", "--concept", "mug=thing.concept")
    assert done.exit_code == 0
    assert "note: nobody asked for 'mug', so its concept was of no use; SAM 3 was asked for 'watermelon" in done.stderr


def test_an_episode_names_its_concepts_and_is_replayed_with_them(here):
    asked = ("segment", "scene.png", "all gizmos")
    assert run_program(*asked, "--concept", "gizmo=thing.concept", "--record", "calls").exit_code == 0
    episode = json.loads(Path("out/scene/episode.json").read_text("utf-8"))
    assert episode["made_by"]["concepts"] == {"gizmo": Concept.load("thing.concept").key}
    again = run_program(*asked, "--planner", "replay:calls", "--concept", "gizmo=thing.concept", "--json")
    assert len(json.loads(again.stdout)["masks"]) == 4
    without = run_program(*asked, "--planner", "replay:calls")
    assert (without.exit_code, without.stdout) == (2, "")
    assert "made with a concept for 'gizmo'; give its file again" in without.stderr
    Concept.load("thing.concept").with_phrase("fruit").save("changed.concept")
    changed = run_program(*asked, "--planner", "replay:calls", "--concept", "gizmo=changed.concept")
    assert "made with another concept for 'gizmo'" in changed.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("none.concept",), "none.concept: no such file"),
        (("scene.png",), "scene.png is no concept"),
        (("=thing.concept",), "no phrase stands before the ="),
        (("cup=",), "the path is empty"),
        (("",), "--concept: the path is empty"),
        (("thing.concept", "Thing=thing.concept"), "two files stand for 'thing'"),
        (("other.concept",), "made with the weights 'other'"),
    ],
)
def test_concepts_that_cannot_be_used_are_one_line(here, words, said):
    thing = Concept.load("thing.concept")
    Concept(thing.examples, (1,), thing.surroundings, None, "ab" * 32, "other", "float32").save("other.concept")
    options = [option for word in words for option in ("--concept", word)]
    done = run_program("segment", "scene.png", "watermelon", *options)
    assert (done.exit_code, done.stdout) == (2, "")
    assert said in done.stderr
    assert not Path("out").exists()
