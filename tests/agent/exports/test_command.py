"""`sam3-agent segment --export`, as a person meets it."""

import shutil
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import pytest
from pycocotools.coco import COCO
from typer.testing import CliRunner

from agent.cli.main import app
from agent.exports import EXPORTERS
from agent.report.output_folder import ANSWER_FILES
from agent.report.result import Result

EXAMPLE = Path(__file__).parents[3] / "examples" / "scene.png"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copy(EXAMPLE, tmp_path / "scene.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def segment(*words: str):
    return CliRunner().invoke(app, ["segment", *words])


def test_exports_lie_beside_the_answer_and_hold_the_same_masks(here):
    done = segment("scene.png", "all watermelons", "--export", "coco,yolo-seg")
    assert (done.exit_code, done.stderr) == (0, "")
    names = [*ANSWER_FILES, "scene.coco.json", "scene.yolo-seg.zip"]
    assert done.stdout.splitlines()[-1] == f"out/scene: {', '.join(names)}"
    assert {path.name for path in Path("out/scene").iterdir()} == set(names)
    result = Result.model_validate_json(Path("out/scene/result.json").read_text("utf-8"))
    with redirect_stdout(StringIO()):
        known = COCO("out/scene/scene.coco.json")
    assert {one.id: one.area for one in result.masks} == {
        one["id"]: one["area"] for one in known.loadAnns(known.getAnnIds())
    }
    assert result.count > 1


def test_an_unknown_format_is_one_line_and_nothing_is_written(here):
    done = segment("scene.png", "all watermelons", "--export", "coco,tfrecord")
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr == f"error: no export format 'tfrecord'; there are: {', '.join(EXPORTERS)}\n"
    assert {path.name for path in here.iterdir()} == {"scene.png"}


def test_a_folder_in_the_place_of_an_export_is_one_line_and_nothing_is_written(here):
    (here / "there" / "scene.coco.json").mkdir(parents=True)
    done = segment("scene.png", "all watermelons", "--export", "coco", "--out", "there")
    assert (done.exit_code, len(done.stderr.splitlines())) == (2, 1)
    assert "scene.coco.json" in done.stderr
    assert {path.name for path in Path("there").iterdir()} == {"scene.coco.json"}


def test_the_help_names_every_format():
    shown = " ".join(CliRunner().invoke(app, ["segment", "--help"], env={"COLUMNS": "400"}).stdout.split())
    assert all(name in shown for name in EXPORTERS)
