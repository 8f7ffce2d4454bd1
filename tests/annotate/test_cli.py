"""`sam3-agent annotate` as a person types it: refusals of one line, and what it says of a run that is there."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from agent.cli.main import app
from annotate.cli.command import format_summary
from annotate.plan import Plan, settle_plan
from annotate.shards import Summary
from annotate.workers.worker import ShardWorker, Unit
from tests.support.annotating import build_job, write_images


def invoke(*words: object) -> Result:
    return CliRunner().invoke(app, ["annotate", *map(str, words)])


@pytest.fixture
def source(tmp_path: Path) -> Path:
    write_images(tmp_path / "in", 3)
    return tmp_path / "in"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "say what to find: either --phrases FILE"),
        (("--phrases", "a", "--query", "b"), "say what to find"),
        (("--phrases", " ,"), "holds no phrase"),
        (("--phrases", "a", "--to", "nonsense"), "no export format 'nonsense'"),
        (("--phrases", "a", "--to", " , "), "--to names no format"),
        (("--phrases", "a", "--gpus", "x"), "--gpus takes their numbers"),
        (("--phrases", "a", "--share", "3/2"), "--share takes K/N"),
        (("--phrases", "a", "--sample", "5"), "--sample takes a share"),
        (("--phrases", "a", "--planner", "replay:x"), "--planner is for --query"),
        (("--query", "a", "--planner", "nonsense"), "there is no planner 'nonsense'"),
        (("--query", " "), "the query is empty"),
        (("--phrases", "a", "--sam3", "/nowhere/weights", "--out", "made/for/this"), "/nowhere/weights"),
        (("--phrases", "a", "--out", "in"), "the results cannot lie in"),
        (("--phrases", "a", "--out", "in/0000.png/x"), "cannot write into in/0000.png/x: Not a directory"),
        (("--phrases", "a", "--out", "/proc/nowhere"), "cannot write into /proc/nowhere"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_leaves_nothing(
    source: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], said: str
) -> None:
    monkeypatch.chdir(source.parent)
    done = invoke(source, *words)
    assert (done.exit_code, done.stderr.count("\n")) == (2, 1), done.stderr
    assert said in done.stderr
    assert sorted(path.name for path in source.parent.iterdir()) == ["in"]


def test_the_word_run_may_be_left_out(tmp_path: Path) -> None:
    said = [invoke(*words, "--phrases", "a").stderr for words in ((tmp_path,), ("run", tmp_path))]
    assert said[0] == said[1]
    assert "there is no image in" in said[0]
    assert "there is no image in" in invoke("--phrases", "a", tmp_path).stderr


def test_a_run_that_is_there_is_described_and_exported_without_a_network(tmp_path: Path) -> None:
    write_images(tmp_path / "in", 30)
    for number in range(25):
        (tmp_path / "in" / f"{number:04d}.png").write_bytes(b"")
    job = build_job(tmp_path / "in", tmp_path / "out", shard=20)
    settle_plan(job.out, job.plan, job.folder.get_lock_path("plan"))
    worker = ShardWorker(job.setup)
    worker.run_unit(Unit(0, tuple(job.listing.get_items(0, 20)), 20))
    told = invoke("status", job.out)
    assert "20 of 30" in told.stdout
    assert "1 of 2, of 20 images" in told.stdout
    refused = invoke("export", job.out, "--to", "coco")
    assert refused.exit_code == 2
    assert "1 of 2 shards" in refused.stderr
    worker.run_unit(Unit(1, tuple(job.listing.get_items(20, 30)), 10))
    told = invoke("status", job.out)
    assert told.exit_code == 0
    assert "25 errors (25 ImageError)" in told.stdout
    assert told.stdout.count("the file is empty") == 20
    assert "--errors lists all 25" in told.stdout
    assert invoke("status", job.out, "--errors").stdout.count("the file is empty") == 25
    numbers = json.loads(invoke("status", job.out, "--json").stdout)
    assert (numbers["images"], numbers["done"]["masks"], numbers["done"]["errors"]) == (30, 5, {"ImageError": 25})
    assert invoke("export", job.out, "--to", "coco,webdataset").stdout == f"{job.out}: coco.json, webdataset\n"
    assert len(json.loads((job.out / "coco.json").read_bytes())["annotations"]) == 5
    write_images(tmp_path / "in", 31)
    moved = invoke("export", job.out, "--to", "webdataset")
    assert moved.exit_code == 2
    assert "holds other images than when" in moved.stderr
    (tmp_path / "in").rename(tmp_path / "elsewhere")
    gone = invoke("export", job.out, "--to", "webdataset")
    assert (gone.exit_code, gone.stderr.count("\n")) == (2, 1)
    assert "are not in" in gone.stderr
    assert f"--out {job.out} --to webdataset" in gone.stderr


def test_what_a_folder_was_asked_before_is_told_apart_in_words() -> None:
    plan = Plan(source="in", listing="5d", images=1, shard=1, question={"phrases": ["cat"]}, options={"sam3": "tiny"})
    for changed, said in (
        ({"question": {"query": "the cats"}}, "phrases cat, not query the cats"),
        ({"question": {"phrases": ["dog"]}}, "phrases cat, not dog"),
        ({"options": {"sam3": "tiny", "concepts": "c"}}, "without concepts"),
        ({"options": {}}, "sam3 tiny, and now without sam3"),
    ):
        assert f"({said})" in plan.find_difference(replace(plan, **changed))


def test_one_image_is_one() -> None:
    assert format_summary(Summary(images=1, masks=1)) == "1 image, 1 mask"
    assert format_summary(Summary(images=1200)) == "1,200 images, 0 masks"


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    for words in (("status", tmp_path), ("export", tmp_path, "--to", "coco")):
        done = invoke(*words)
        assert (done.exit_code, done.stderr.count("\n")) == (2, 1)
        assert "no run of `annotate` was begun there" in done.stderr
    (tmp_path / "plan.json").write_text("{}", encoding="utf-8")
    assert "cannot be read" in invoke("status", tmp_path).stderr
