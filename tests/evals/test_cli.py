"""`sam3-agent eval` as a person meets it, killed in the middle too."""

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import PIL.Image
import pytest
from typer.testing import CliRunner

from agent.cli.main import app
from tests.support.program import start_program

pytestmark = pytest.mark.usefixtures("tiny")  # which every command then shares

SCENES = ["scenes", "--with", "number=7", "--with", "size=200x150"]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    done = evaluate("make-scenes", "--out", folder, "--number", 6)
    assert done.exit_code == 0
    assert f"reasonseg: {folder / 'reasonseg'}" in done.stdout
    return folder


def evaluate(*words: object):
    """In this process, so that torch is imported once."""
    return CliRunner().invoke(app, ["eval", *map(str, words)])


def telling(*modules: str, words: list[str]) -> "subprocess.CompletedProcess[str]":
    """The program in a process of its own, which says last which of these modules it has loaded."""
    tell = f"import atexit, sys; atexit.register(lambda: print([m for m in {modules!r} if m in sys.modules]))"
    program = f"{tell}; from agent.cli.main import main; main()"
    return subprocess.run([sys.executable, "-c", program, *words], capture_output=True, text=True, check=False)


def killed_after(lines: int, run: Path, *words: str) -> None:
    """Starts the program and ends it without a warning once that many samples are done."""
    child = start_program("eval", *words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    done = run / "samples.jsonl"
    while child.poll() is None and (not done.exists() or done.read_bytes().count(b"\n") < lines):
        time.sleep(0.002)
    child.send_signal(signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL


def test_a_run_that_was_killed_twice_equals_one_of_sixteen_workers_that_was_not(here, results):
    words = ["run", *SCENES, "--no-cache", "--pages", "1", "--draws", "50"]
    killed_after(1, Path("killed"), *words, "--out", "killed", "--workers", "2")
    killed_after(2, Path("killed"), *words, "--out", "killed")
    assert 2 <= Path("killed/samples.jsonl").read_bytes().count(b"\n") <= 7  # the rest came before the signal, perhaps
    assert not Path("killed/scores.json").exists()
    assert evaluate(*words, "--out", "killed").exit_code == 0
    whole = evaluate(*words, "--out", "whole", "--workers", "16")
    assert (whole.exit_code, whole.stderr) == (0, "")
    assert results(here / "killed") == results(here / "whole")


def test_a_run_on_official_files_from_data_to_report(here, data):
    words = ["run", "reasonseg", "--data", data / "reasonseg", "--split", "val", "--out", "runs/a", "--draws", 50]
    done = evaluate(*words)
    assert (done.exit_code, done.stderr) == (0, "")
    assert "giou " in done.stdout
    assert "6 scored, 0 failed" in done.stdout
    assert {path.name for path in Path("runs").iterdir()} == {"a", ".cache"}
    held = json.loads(Path("runs/a/predictions/reasonseg_val.json").read_text())
    assert len(held) == 6
    manifest = json.loads(Path("runs/a/manifest.json").read_text())
    assert (manifest["dataset"], manifest["samples"], manifest["runs_on"]) == ("reasonseg", 6, "cpu float32")
    assert len(manifest["checkpoint"]) == len(manifest["data"]) == 64
    before = Path("runs/a/samples.jsonl").read_bytes()
    again = evaluate(*words)
    assert (again.exit_code, again.stdout) == (0, done.stdout)
    assert Path("runs/a/samples.jsonl").read_bytes() == before


def test_predict_writes_no_score_and_score_needs_no_model(here, data):
    words = ["own", "--data", data / "own", "--limit", 3, "--out", "a"]
    done = evaluate("predict", *words)
    assert (done.exit_code, done.stderr.count("TESTING ONLY")) == (0, 1)
    assert not Path("a/scores.json").exists()
    scored = telling("torch", "openai", words=["eval", "score", "a"])
    assert scored.returncode == 0
    assert scored.stdout.endswith("[]\n")
    assert json.loads(Path("a/scores.json").read_text())["overall"]["samples"] == 3


def test_pictures_may_move_and_are_found_from_any_folder(here, data, monkeypatch):
    shutil.copytree(data / "grefcoco", "set")
    Path("set/images").rename("pictures")
    place = "mscoco/images/train2014"
    words = ["run", "grefcoco", "--data", "set", "--split", "val", "--out", "a", "--pages", 0, "--draws", 50]
    first = evaluate(*words, "--with", f"pictures=pictures/{place}", "--limit", 3)
    assert first.exit_code == 0, first.stderr
    Path("elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")
    scored = evaluate("score", "../a", "--draws", 50)
    assert (scored.exit_code, scored.stderr.count("\n")) == (0, 1)
    monkeypatch.chdir(here)
    Path("pictures").rename("moved")
    again = evaluate(*words, "--with", f"pictures=moved/{place}", "--limit", 3)
    assert (again.exit_code, again.stdout) == (0, first.stdout)
    assert f"note: options.pictures: {here}/pictures/{place}, now {here}/moved/{place}" in again.stderr
    assert len(Path("a/samples.jsonl").read_text().splitlines()) == 3


def test_another_planner_or_protocol_needs_another_folder(here):
    words = ["predict", *SCENES, "--limit", 1, "--out", "a"]
    assert evaluate(*words).exit_code == 0
    other = evaluate(*words, "--toolset", "paper")
    assert (other.exit_code, other.stdout) == (2, "")
    assert "error: a holds another run (made_by.protocol: workspace, now paper); choose another folder" in other.stderr


def test_two_runs_are_compared_and_samples_can_be_looked_at(here):
    for protocol in ("workspace", "paper"):
        words = ["run", *SCENES, "--limit", 4, "--out", protocol, "--toolset", protocol, "--pages", 0, "--draws", 50]
        assert evaluate(*words).exit_code == 0
    compared = evaluate("compare", "workspace", "paper", "--draws", 50)
    assert compared.exit_code == 0
    assert compared.stdout.startswith("giou over 4 samples: ")
    [line] = Path("paper/samples.jsonl").read_text().splitlines()[:1]
    looked = evaluate("view", "paper", "--ids", json.loads(line)["id"])
    assert looked.exit_code == 0
    assert "ground truth" in Path(looked.stdout.strip()).read_text()


def test_check_says_what_is_there_and_what_it_will_cost(here, data):
    where = ["reasonseg", "--data", data / "reasonseg", "--split", "val"]
    done = evaluate("check", *where, "--planner", "openai:x", "--price", "1,2")
    assert done.exit_code == 1  # not the published number
    assert "6 (published: 200; THIS IS ANOTHER NUMBER)" in done.stdout
    assert "6 opened, all whole" in done.stdout
    assert "about 36" in done.stdout
    assert "rule of thumb" in done.stdout
    assert evaluate("check", *SCENES).exit_code == 0
    assert "3 opened" in evaluate("check", *SCENES, "--pictures", "3").output
    picture = next((data / "own").glob("*.png"))
    kept = picture.read_bytes()
    picture.unlink()
    try:
        broken = evaluate("check", "own", "--data", data / "own")
    finally:
        picture.write_bytes(kept)
    assert broken.exit_code in (1, 2)
    assert picture.name in broken.stdout + broken.stderr


def test_samples_that_all_fail_end_with_an_exit_code(here, data):
    done = evaluate("run", *SCENES, "--limit", 2, "--out", "a", "--planner", f"replay:{_episode_without_an_end(here)}")
    assert done.exit_code == 1
    assert "error: 100% of the samples failed, above --fail-on-error 0.05" in done.stderr
    assert json.loads(Path("a/scores.json").read_text())["statuses"]["failed"] == 2


def _episode_without_an_end(folder: Path) -> Path:
    """Whose replay fails at once: it has no step."""
    from agent import Episode, Task
    from agent.records.episode_file import save_episode
    from agent.records.provenance import Provenance
    from sam3_tool import Image

    example = Image.open(Path(__file__).parents[2] / "examples" / "scene.png")
    save_episode(
        Episode(Task(example, "x")), folder / "empty.json", provenance=Provenance(planner="grammar", sam3="tiny")
    )
    return folder / "empty.json"


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["run", "imagenet", "--out", "a"], "there is no dataset 'imagenet'; there are converseg, countbench, davis,"),
        (["run", "reasonseg", "--split", "val", "--out", "a"], "where are the data of reasonseg? give --data FOLDER"),
        (["run", "reasonseg", "--data", ".", "--split", "val", "--out", "a"], "(licence: "),
        (
            ["run", "reasonseg", "--data", ".", "--out", "a"],
            "which split of reasonseg? give --split, one of train, val, test",
        ),
        (["run", *SCENES, "--out", "a", "--with", "number"], "--with takes NAME=VALUE, got 'number'"),
        (["run", *SCENES, "--out", "a", "--with", "kind=3"], "scenes has the options number, seed, size, not kind"),
        (["run", *SCENES, "--out", "a", "--ids", "x,y"], "scenes test has no sample x, y; an id is, e.g., scene-"),
        (["run", *SCENES, "--out", "a", "--limit", "0"], "--limit must be at least 1, got 0"),
        (["run", *SCENES, "--out", "a", "--planner", "chatgpt"], "there is no planner 'chatgpt'"),
        (["run", *SCENES, "--out", "a", "--sam3", "nowhere"], "SAM 3 checkpoint 'nowhere': no such folder"),
        (["run", *SCENES, "--out", "a", "--base-url", "http://x"], "--base-url is of no use to --planner grammar"),
        (["run", *SCENES, "--out", "a", "--max-cost", "1"], "--max-cost needs a price"),
        (
            ["run", *SCENES, "--out", "a", "--direct-threshold", "1"],
            "--direct-threshold must be at least 0 and below 1",
        ),
        (["run", *SCENES, "--out", "a", "--direct-threshold", "-0.1"], "at least 0 and below 1, got -0.1"),
        (["run", *SCENES, "--out", "a", "--direct-threshold", "nan"], "at least 0 and below 1, got nan"),
        (["score", "nowhere"], "nowhere is not a run: cannot read manifest.json"),
        (["compare", "nowhere", "nowhere"], "nowhere is not a run"),
        (["view", "nowhere"], "nowhere is not a run"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_written(here, words, complaint):
    done = evaluate(*words)
    assert (done.exit_code, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("error: ")
    assert complaint in done.stderr
    assert not Path("a").exists()


@pytest.mark.parametrize(
    ("number", "code", "ended"),
    [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "ended by SIGTERM")],
)
def test_an_interruption_is_one_line_and_leaves_what_is_done(here, number, code, ended):
    child = start_program("eval", "run", "scenes", "--with", "number=12", "--with", "size=200x150", "--out", "a")
    samples = Path("a/samples.jsonl")
    while child.poll() is None and not (samples.exists() and samples.read_bytes().count(b"\n")):
        time.sleep(0.01)
    child.send_signal(number)
    stdout, stderr = child.communicate()
    assert (child.returncode, stdout) == (code, "")
    assert stderr == f"{ended}; run the same command again to go on\n"
    assert 1 <= Path("a/samples.jsonl").read_bytes().count(b"\n") < 12


def test_the_command_is_mounted_and_only_imported_when_asked_for():
    assert telling("evals", words=["segment", "--help"]).stdout.endswith("[]\n")
    assert telling("torch", "cv2", "jinja2", words=["eval", "--help"]).stdout.endswith("[]\n")
    assert "eval" in CliRunner().invoke(app, ["--help"]).stdout


def test_anybodys_predictions_are_scored_without_a_run_and_without_a_model(here, data):
    words = ["reasonseg", "--data", data / "reasonseg", "--split", "val"]
    assert evaluate("predict", *words, "--out", "a", "--no-cache").exit_code == 0
    run = evaluate("score", "a", "--draws", 50)
    scored = telling(
        "torch",
        "openai",
        words=["eval", "score", *map(str, words), "--predictions", "a/predictions/reasonseg_val.json"],
    )
    assert scored.returncode == 0
    assert scored.stdout.endswith("[]\n")
    name, value = scored.stdout.splitlines()[0].split()
    assert run.stdout.startswith(f"{name} {float(value):.4g} ")
    for wrong, said in (
        (["--predictions", "nowhere.json"], "there is no file or folder nowhere.json"),
        ([], "reasonseg is not a run"),
    ):
        done = evaluate("score", "reasonseg", *(words[1:] if wrong else []), *wrong)
        assert (done.exit_code, done.stdout) == (2, "")
        assert said in done.stderr


def test_videos_are_checked_scored_and_run(here):
    Path("frames/JPEGImages/480p/dog").mkdir(parents=True)
    Path("frames/Annotations/480p/dog").mkdir(parents=True)
    Path("frames/ImageSets/2017").mkdir(parents=True)
    Path("frames/ImageSets/2017/val.txt").write_text("dog\n")
    for number in range(3):
        PIL.Image.new("RGB", (8, 6)).save(f"frames/JPEGImages/480p/dog/{number:05d}.jpg")
        PIL.Image.new("L", (8, 6), 1).save(f"frames/Annotations/480p/dog/{number:05d}.png")
    words = ["davis", "--data", "frames", "--split", "val"]
    checked = evaluate("check", *words)
    assert checked.exit_code == 1
    assert "1 (published: 30; THIS IS ANOTHER NUMBER)" in checked.stdout
    run = evaluate("run", *words, "--out", "runs/x", "--planner", "grammar", "--sam3", "tiny", "--draws", 10)
    assert (run.exit_code, run.stdout.splitlines()[0]) == (0, "runs/x: 1 ok; predictions/ dog")
    assert evaluate("score", "runs/x", "--draws", 10).stdout == run.stdout.split("\n", 1)[1]
    assert "| protocol | video |" in Path("runs/x/report.md").read_text(encoding="utf-8")
    scored = evaluate("score", *words, "--predictions", "frames/Annotations/480p")
    assert (scored.exit_code, scored.stdout.splitlines()[0].split()) == (0, ["jf", "100.0"])


def test_without_pyarrow_parquet_files_are_not_read_and_one_line_says_what_to_install(tmp_path, monkeypatch):
    (tmp_path / "x.parquet").write_bytes(b"PAR1")
    monkeypatch.setitem(sys.modules, "pyarrow", None)  # as where it is not installed
    done = evaluate("check", "reasonseg", "--variant", "hf-bool", "--split", "val", "--data", tmp_path)
    assert (done.exit_code, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "uv sync --inexact --extra parquet" in done.stderr


def test_without_scikit_image_no_scene_is_drawn_and_one_line_says_what_to_install(tmp_path):
    program = "import sys; sys.modules['skimage'] = None; from agent.cli.main import main; main(sys.argv[1:])"
    words = ["eval", "make-scenes", "--out", str(tmp_path / "data"), "--number", "12"]
    done = subprocess.run([sys.executable, "-c", program, *words], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert "uv sync --inexact --extra train" in done.stderr


def test_videos_are_written_and_checked_as_pictures_are(tmp_path):
    done = evaluate("make-videos", "--out", tmp_path, "--number", 1)
    assert done.exit_code == 0
    assert f"revos: {tmp_path / 'revos'}" in done.stdout
    checked = evaluate("check", "davis", "--data", tmp_path / "davis", "--split", "val", "--pictures", 1)
    assert checked.exit_code == 1  # one video, and thirty are published
    assert "THIS IS ANOTHER NUMBER" in checked.stdout
    refused = evaluate("run", "mevis", "--data", tmp_path / "mevis", "--split", "valid", "--out", tmp_path / "run")
    assert (refused.exit_code, refused.stderr.count("\n")) == (2, 1)
    assert "the masks of MeViS valid are not published" in refused.stderr
    assert not (tmp_path / "run").exists()
