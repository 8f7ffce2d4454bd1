"""`sam3-agent` as a person meets it: arguments in, one line and four files out."""

import json
import os
import shutil
import signal
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from pycocotools import mask as coco
from typer.testing import CliRunner

from agent.cli.main import app, main
from agent.cli.options.segment_options import read_query
from agent.report.output_folder import ANSWER_FILES
from sam3_tool import Image
from tests.support.program import run_program, start_program

pytestmark = pytest.mark.usefixtures("tiny")  # which every command then shares

EXAMPLE = Path(__file__).parents[3] / "examples" / "scene.png"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with one picture in it."""
    shutil.copy(EXAMPLE, tmp_path / "scene.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """No language model is set up."""
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


def segment(*words: object):
    """In this process, so that torch is imported once."""
    return CliRunner().invoke(app, ["segment", *map(str, words)])


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_answer_is_one_line_and_four_files(here):
    done = segment("scene.png", "all watermelons")
    assert (done.exit_code, done.stderr) == (0, "")
    answer, files = done.stdout.splitlines()
    assert answer
    assert files == "out/scene: overlay.png, result.json, episode.json, episode.html"
    assert {path.name for path in Path("out/scene").iterdir()} == set(ANSWER_FILES)
    assert Image.open("out/scene/overlay.png").pixels.shape == Image.open("scene.png").pixels.shape


def test_with_json_nothing_but_json_is_on_stdout(here):
    done = run_program("segment", "scene.png", "all watermelons", "--json", "--out", "there")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == json.loads(Path("there/result.json").read_text("utf-8"))


def test_a_broken_picture_is_one_line_on_stderr(here):
    Path("broken.png").write_bytes(Path("scene.png").read_bytes()[:500])
    done = run_program("segment", "broken.png", "all watermelons")
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("error: ")
    assert "broken.png" in done.stderr


def test_an_interruption_is_one_line(here):
    os.mkfifo("pipe")
    process = start_program("segment", "scene.png", "watermelon", "--planner", "replay:pipe")
    with Path("pipe").open("w"):  # which opens as soon as the program reads from it
        process.send_signal(signal.SIGINT)
        printed, told = process.communicate()
    assert (process.returncode, printed) == (130, "")
    assert told == "interrupted; nothing was written\n"
    assert not Path("out").exists()


def test_result_json_can_be_read_by_pycocotools(here):
    segment("scene.png", "all watermelons")
    result = json.loads(Path("out/scene/result.json").read_text("utf-8"))
    assert result["image"] == {"width": 640, "height": 480}
    assert result["count"] == len(result["masks"]) > 1
    for mask in result["masks"]:
        decoded = coco.decode(mask["segmentation"])
        assert decoded.shape == (480, 640)
        assert decoded.sum() == mask["area"]
        x, y, width, height = mask["bbox"]  # the detector's, not the mask's extents
        assert (
            decoded[max(round(y), 0) : round(y + height), max(round(x), 0) : round(x + width)].sum()
            > 0.5 * mask["area"]
        )
        if mask["score"] > 0.9:  # a half-hidden object's box and mask may well differ by more
            rows, columns = np.nonzero(decoded)
            extents = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
            assert [x, y, x + width, y + height] == pytest.approx(extents, abs=20)
    assert sum(mask["score"] > 0.9 for mask in result["masks"]) >= 2


def test_what_is_not_there_is_an_answer_too(here):
    done = segment("scene.png", "elephant")
    assert done.exit_code == 0
    result = json.loads(Path("out/scene/result.json").read_text("utf-8"))
    assert (result["outcome"], result["count"], result["masks"]) == ("no_match", 0, [])


def test_the_threshold_reaches_sam3(here):
    segment("scene.png", "all watermelons", "--threshold", 0.99, "--out", "strict")
    segment("scene.png", "all watermelons", "--threshold", 0.01, "--out", "lax")
    strict, lax = (json.loads(Path(out, "result.json").read_text("utf-8")) for out in ("strict", "lax"))
    assert strict["count"] < lax["count"]
    assert all(mask["score"] > 0.99 for mask in strict["masks"])


def test_a_step_limit_leaves_the_best_answer_so_far(here):
    done = segment("scene.png", "the largest watermelon", "--max-steps", 1)
    assert done.exit_code == 1
    assert done.stdout.startswith("step_limit: ")
    result = json.loads(Path("out/scene/result.json").read_text("utf-8"))
    assert result["outcome"] == "step_limit"
    assert result["count"] > 1


def test_the_papers_protocol(here):
    assert segment("scene.png", "watermelon", "--toolset", "paper").exit_code == 0
    episode = json.loads(Path("out/scene/episode.json").read_text("utf-8"))
    assert {step["decision"]["tool"] for step in episode["steps"]} <= {
        *("segment_phrase", "examine_each_mask", "select_masks_and_return", "report_no_mask")
    }


@pytest.mark.parametrize("protocol", ["workspace", "paper"])
def test_a_saved_episode_can_be_replayed(here, protocol):
    segment("scene.png", "watermelon", "--toolset", protocol, "--out", "first")
    done = segment("scene.png", "watermelon", "--planner", "replay:first/episode.json", "--out", "second")
    assert done.exit_code == 0, done.stderr
    first, second = (json.loads(Path(out, "result.json").read_text("utf-8")) for out in ("first", "second"))
    assert first["masks"] == second["masks"] != []


def test_a_replay_stops_where_the_first_run_was_stopped(here):
    segment("scene.png", "the largest watermelon", "--max-steps", 1, "--out", "first")
    done = segment("scene.png", "the largest watermelon", "--planner", "replay:first/episode.json")
    assert (done.exit_code, done.stderr) == (1, "")


def test_files_of_the_same_names_are_replaced_and_others_kept(here):
    folder = Path("answers")
    folder.mkdir()
    for name in (*ANSWER_FILES, "notes.txt"):
        (folder / name).write_text("mine")
    assert segment("scene.png", "watermelon", "--out", folder).exit_code == 0
    written = contents(folder)
    assert written.pop("notes.txt") == b"mine"
    assert set(written) == set(ANSWER_FILES)
    assert b"mine" not in written.values()


def test_a_failure_leaves_the_output_folder_as_it_was(here):
    segment("scene.png", "watermelon")
    before = contents(here)
    assert segment("scene.png", "watermelon", "--sam3", "nowhere").exit_code == 2
    assert contents(here) == before


def test_a_picture_of_one_pixel_is_a_picture(here):
    PIL.Image.new("RGB", (1, 1)).save("dot.png")
    assert segment("dot.png", "watermelon").exit_code == 0


def test_any_name_and_any_query_will_do(here):
    shutil.copy("scene.png", "[bold]ünïcode 'n more.png")
    done = segment("[bold]ünïcode 'n more.png", 'the "watermelon" [red]\u2028 <b>', "--json")
    assert done.exit_code == 0
    assert json.loads(done.stdout)["query"] == 'the "watermelon" [red]\u2028 <b>'
    assert Path("out", "[bold]ünïcode 'n more", "overlay.png").exists()


def test_a_name_that_is_not_text_is_no_trouble(here, capsys):
    name = os.fsdecode(b"sc\xffene.png")
    shutil.copy("scene.png", name)
    with pytest.raises(SystemExit) as end:
        main(["segment", name, "watermelon"])
    assert end.value.code == 0
    assert capsys.readouterr().out.splitlines()[1].startswith("out/sc_ene: ")


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["missing.png", "watermelon"], "missing.png"),
        (["empty.png", "watermelon"], "empty.png"),
        (["text.png", "watermelon"], "text.png"),
        (["folder", "watermelon"], "folder"),
        (["scene.png", ""], "query is empty"),
        (["scene.png", " \t "], "query is empty"),
        (["scene.png", os.fsdecode(b"circ\xffle")], "UTF-8"),
        (["scene.png", "watermelon", "--threshold", "1"], "--threshold"),
        (["scene.png", "watermelon", "--threshold=-0.1"], "--threshold"),
        (["scene.png", "watermelon", "--threshold", "nan"], "--threshold"),
        (["scene.png", "watermelon", "--threshold", "0.3", "--toolset", "paper"], "--threshold"),
        (["scene.png", "watermelon", "--toolset", "tcp"], "there is no toolset 'tcp'"),
        (["scene.png", "watermelon", "--toolset", "workspace+ocr"], "there is no tool 'ocr'; there are answer, "),
        (["scene.png", "watermelon", "--max-steps", "0"], "--max-steps"),
        (["scene.png", "watermelon", "--max-seconds", "0"], "--max-seconds"),
        (["scene.png", "watermelon", "--max-seconds", "nan"], "--max-seconds"),
        (["scene.png", "watermelon", "--max-tokens", "0"], "--max-tokens must be at least 1, got 0"),
        (["scene.png", "watermelon", "--max-model-calls=-1"], "--max-model-calls must be at least 1, got -1"),
        (["scene.png", "watermelon", "--max-cost", "nan", "--price", "1,2"], "--max-cost must be above 0, got nan"),
        (["scene.png", "watermelon", "--max-cost", "1"], "--max-cost needs a price"),
        (["scene.png", "watermelon", "--price", "cheap"], "--price must be PROMPT,COMPLETION[,CACHED]"),
        (["scene.png", "watermelon", "--price", "1"], "--price must be PROMPT,COMPLETION[,CACHED]"),
        (["scene.png", "watermelon", "--price", "1,2,3,4"], "--price must be PROMPT,COMPLETION[,CACHED]"),
        (["scene.png", "watermelon", "--price=-1,2"], "got '-1,2'"),
        (["scene.png", "watermelon", "--price", "1,inf"], "got '1,inf'"),
        (
            ["scene.png", "watermelon", "--base-url", "http://localhost:1"],
            "--base-url is of no use to --planner",
        ),
        (["scene.png", "watermelon", "--image-side", "640"], "--image-side is of no use to --planner"),
        (
            ["scene.png", "watermelon", "--base-url", "http://x", "--planner", "transformers:x"],
            "it takes --wire, --image-side",
        ),
        (
            ["scene.png", "watermelon", "--threshold", "0.3", "--planner", "openai:x"],
            "--threshold is of no use to --planner openai:x",
        ),
        (["scene.png", "watermelon", "--record", "there", "--planner", "replay:there"], "--record is of no use"),
        (["scene.png", "watermelon", "--record", "text.png"], "text.png"),
        (["scene.png", "watermelon", "--planner", "openai:"], "names no model; it is written openai:MODEL"),
        (["scene.png", "watermelon", "--planner", "openai:x"], "set OPENAI_API_KEY"),
        (["scene.png", "watermelon", "--planner", "openai:x", "--base-url", "nowhere"], "'nowhere' is no address"),
        (["scene.png", "watermelon", "--planner", "openai:x", "--base-url", "http://127.0.0.1:9"], "cannot be reached"),
        (["scene.png", "watermelon", "--planner", "transformers:folder"], "folder"),
        (["scene.png", "watermelon", "--planner", "replay:folder"], "holds no recording"),
        (["scene.png", "watermelon", "--planner", "crystal ball"], "crystal ball"),
        (["scene.png", "watermelon", "--planner", "replay:text.png"], "text.png"),
        (["scene.png", "watermelon", "--planner", "replay:missing.json"], "missing.json"),
        (["scene.png", "watermelon", "--sam3", "folder"], "folder"),
        (["scene.png", "watermelon", "--sam3", "no/such/folder"], "no/such/folder"),
        (["scene.png", "watermelon", "--device", "abacus"], "abacus"),
        (["scene.png", "watermelon", "--out", "text.png"], "text.png"),
        (["scene.png", "watermelon", "--out", "text.png/below"], "text.png/below"),
        (["scene.png", "watermelon", "--out", "taken"], "overlay.png"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_written(here, no_server, words, complaint):
    Path("empty.png").touch()
    Path("text.png").write_text("not a picture")
    Path("folder").mkdir()
    Path("taken/overlay.png").mkdir(parents=True)
    before = contents(here)
    done = segment(*words)
    assert (done.exit_code, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("error: ")
    assert complaint in done.stderr
    assert contents(here) == before
    assert not Path("out").exists()


@pytest.mark.parametrize("words", [["--colour", "red"], ["--threshold", "half"], ["--wire", "http"]])
def test_bad_usage_is_explained(here, words):
    done = segment("scene.png", "watermelon", *words)
    assert (done.exit_code, done.stdout) == (2, "")
    assert "Usage" in done.stderr
    assert words[0] in done.stderr


def test_the_program_says_its_version():
    done = CliRunner().invoke(app, ["--version"])
    assert done.exit_code == 0
    assert done.stdout.startswith("sam3-agent 0.")


@pytest.mark.parametrize("query", ["é", "les bananes mûres", "日本", "🍌"])
def test_a_query_that_the_locale_takes_for_bytes_is_read_as_utf_8(query: str) -> None:
    assert read_query(query.encode().decode("ascii", "surrogateescape")) == query


def test_a_query_that_is_no_text_in_any_locale_is_bad_input(here) -> None:
    done = segment("scene.png", b"caf\xe9".decode("ascii", "surrogateescape"))
    assert (done.exit_code, done.stderr) == (2, "error: the query is not UTF-8 text\n")
