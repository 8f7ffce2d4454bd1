"""`sam3-agent segment` about many images: a folder and a line for each, and an exit code that tells."""

import json
import shutil
import signal
from pathlib import Path

import pytest
from typer.testing import CliRunner

from agent.cli.main import app
from agent.report.output_folder import ANSWER_FILES
from sam3_tool import Image
from sam3_tool.synthetic.scenes import draw_scene
from tests.support.program import start_program

pytestmark = pytest.mark.usefixtures("tiny")  # which every command then shares


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with two images of one stem."""
    monkeypatch.chdir(tmp_path)
    scene = Image(draw_scene(6, size=(96, 64)).pixels).to_pil()
    Path("photos").mkdir()
    scene.save("photos/a.png")
    scene.resize((64, 48)).save("photos/a.webp", lossless=True)
    return tmp_path


def segment(*words: str, stdin: bytes | None = None):
    return CliRunner().invoke(app, ["segment", *words], input=stdin)


def test_each_image_has_its_files_and_a_line(here: Path):
    Path("photos/broken.jpg").write_bytes(b"\xff\xd8\xff")
    done = segment("photos/*", "object", "--out", "there", "--export", "coco")
    assert done.exit_code == 1
    *answers, summary = done.stdout.splitlines()
    assert [line.split(":")[0] for line in answers] == ["photos/a.png", "photos/a.webp"]
    assert summary == "answered 2 of 3, 1 failed: there/results.jsonl"
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("error: photos/broken.jpg: a damaged or incomplete JPEG file")
    rows = [json.loads(line) for line in Path("there/results.jsonl").read_text("utf-8").splitlines()]
    assert [row["folder"] for row in rows] == ["a", "a-2", None]
    assert rows[2]["error"] in done.stderr
    for row, size in zip(rows, ((96, 64), (64, 48)), strict=False):
        files = {path.name for path in Path("there", row["folder"]).iterdir()}
        assert files == {*ANSWER_FILES, "a.coco.json"}
        assert row["result"] == json.loads(Path("there", row["folder"], "result.json").read_text("utf-8"))
        assert (row["result"]["image"]["width"], row["result"]["image"]["height"]) == size


def test_with_json_each_line_is_the_row_that_is_written(here: Path):
    done = segment("photos", "elephant", "--each", "--json")
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout == Path("out/results.jsonl").read_text("utf-8")
    assert [json.loads(line)["result"]["outcome"] for line in done.stdout.splitlines()] == ["no_match"] * 2


def test_an_image_on_standard_input_is_answered_as_a_file(here: Path):
    done = segment("-", "object", stdin=Path("photos/a.png").read_bytes())
    assert (done.exit_code, done.stderr) == (0, "")
    answer, files = done.stdout.splitlines()
    named = segment("photos/a.png", "object").stdout.splitlines()
    assert (answer, files) == (named[0], named[1].replace("out/a:", "out/stdin:"))
    written = json.loads(Path("out/stdin/result.json").read_text("utf-8"))
    assert written["masks"] == json.loads(Path("out/a/result.json").read_text("utf-8"))["masks"]


def test_an_interruption_keeps_what_is_answered(here: Path):
    for number in range(30):
        shutil.copy("photos/a.png", f"photos/{number}.png")
    program = start_program("segment", "photos", "object", "--each")
    program.stdout.readline()
    program.send_signal(signal.SIGINT)
    _, told = program.communicate()
    rows = Path("out/results.jsonl").read_text("utf-8").splitlines()
    assert program.returncode == 130
    assert told == f"interrupted; answered {len(rows)} of 32, in out\n"
    assert 1 <= len(rows) < 32
    for row in map(json.loads, rows):
        assert {path.name for path in Path("out", row["folder"]).iterdir()} == {*ANSWER_FILES}


def test_a_folder_that_is_taken_as_a_video_says_so(here: Path):
    Path("photos/a.webp").unlink()
    done = segment("photos", "elephant")
    assert done.exit_code == 0
    assert "note: photos is taken as a video of its images; --each asks about each by itself" in done.stderr


def test_a_url_of_a_list_needs_its_host_allowed(here: Path):
    Path("list.txt").write_text("https://127.0.0.1/a.png\nphotos/a.png\n", "utf-8")
    refused = segment("list.txt", "elephant")
    assert refused.exit_code == 1
    assert "https://127.0.0.1/a.png: allow its host with --allow-url HOST" in refused.stderr
    elsewhere = segment("list.txt", "elephant", "--allow-url", "example.org")
    assert "nothing may be fetched from the host of this URL" in elsewhere.stderr
    private = segment("list.txt", "elephant", "--allow-url", "127.0.0.1")
    assert "not on the public Internet" in private.stderr
    assert "answered 1 of 2, 1 failed" in private.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["photos/a.png"], "only 'photos/a.png' was given; expected a source and what to find in it"),
        (["photos/a.webp", "photos/a.png"], "the last word is the query, and 'photos/a.png' is a file"),
        (["photos/*.tif", "cups"], "photos/*.tif: no such file"),
        (["-", "cups"], "standard input is empty"),
        (
            ["photos/a.png", "the", "cups"],
            "the: no such file; name files that are there, and put a query of several words in",
        ),
        (["", "cups"], "SOURCE: the path is empty"),
        (["photos", "cups"], "keep one kind of files in the folder; if it holds images and not the frames of a video"),
        (["http://example.org/a.png", "cups"], "http://example.org/a.png: only https URLs are fetched"),
        (
            ["https://127.0.0.1/a.png", "cups"],
            "https://127.0.0.1/a.png: the host of this URL is not on the public Internet",
        ),
        (["photos/a.png", "cups", "--allow-url", "https://a/b"], "--allow-url HOST: expected a host"),
        (["photos", "cups", "--each", "--planner", "replay:gone.json"], "gone.json"),
    ],
)
def test_bad_usage_is_one_line_and_nothing_is_written(here: Path, words: list[str], said: str):
    done = segment(*words)
    assert (done.exit_code, done.stdout, len(done.stderr.splitlines())) == (2, "", 1)
    assert said in done.stderr
    assert [path.name for path in here.iterdir()] == ["photos"]
