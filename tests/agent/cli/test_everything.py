"""`sam3-agent everything`, as a person meets it."""

import json
import shutil
from pathlib import Path

import PIL.Image
import pytest
from typer.testing import CliRunner

from agent.cli.main import app

EXAMPLE = Path(__file__).parents[3] / "examples" / "scene.png"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copy(EXAMPLE, tmp_path / "scene.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def segment_everything(*words: str):
    return CliRunner().invoke(app, ["everything", *words])


def test_masks_of_everything_are_drawn_and_written_as_coco(here: Path):
    done = segment_everything("scene.png", "--points-per-side", "6")
    assert (done.exit_code, done.stderr) == (0, "")
    written = json.loads(Path("out/scene/scene.coco.json").read_text("utf-8"))
    masks = written["annotations"]
    assert done.stdout.splitlines() == [f"{len(masks)} masks", "out/scene: overlay.png, scene.coco.json"]
    assert len(masks) > 1
    with PIL.Image.open("out/scene/overlay.png") as drawn, PIL.Image.open(EXAMPLE) as image:
        assert drawn.size == image.size == (written["images"][0]["width"], written["images"][0]["height"])


def test_where_nothing_is_good_enough_the_files_are_there_and_it_is_said(here: Path):
    done = segment_everything("scene.png", "--points-per-side", "1", "--min-score", "0.999")
    assert (done.exit_code, done.stdout.splitlines()[0]) == (0, "0 masks")
    assert "no mask is good enough" in done.stderr
    assert json.loads(Path("out/scene/scene.coco.json").read_text("utf-8"))["annotations"] == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("photo.png",), "no such file"),
        (("scene.png", "--min-score", "1"), "--min-score must be at least 0 and below 1, got 1"),
        (("scene.png", "--export", "psd"), "no export format 'psd'"),
        (("scene.png", "--sam3", "./weights"), "weights"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_written(words: tuple[str, ...], said: str, here: Path):
    done = segment_everything(*words)
    assert (done.exit_code, done.stdout) == (2, "")
    assert said in done.stderr
    assert {path.name for path in here.iterdir()} == {"scene.png"}
