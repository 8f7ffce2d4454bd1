"""`engine status --html`: one page that anybody can open, with true numbers and nothing that names break."""

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from agent.cli.main import app
from engine.pairs import Correction, Judgement
from engine.project.beginning import Materials, begin_engine
from engine.report.work import read_work
from engine.states import StatePolicy
from engine.store.store import EngineStore
from tests.support.engines import run_engine, write_photos


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An engine called <b>, with two images and two phrases, of which one pair is finished and one rejected."""
    folder = tmp_path / "<b>"
    begin_engine(folder, Materials(images=write_photos(tmp_path / "photos", 2), phrases=("Cups", "hat")))
    run_engine(folder)
    with EngineStore.open(folder) as store:
        first, second, *_ = store.pairs()
        done = Correction(pair=first.key, masks=(), groups=(), exhaustive=True, by="human:anna", at=86_400.0)
        flag = Judgement(pair=second.key, stage="ev", choice="whole_image", by="human:anna", at=172_800.0, drawn="risk")
        store.append([done, flag])
    return folder


def test_the_page_says_what_is_done_by_whom_and_what_is_left(folder: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(
        app, ["engine", "status", str(folder), "--html", str(tmp_path / "page.html"), "--wage", "36"]
    )
    assert (done.exit_code, done.stdout) == (0, f"saved {tmp_path / 'page.html'}\n"), done.stderr
    page = (tmp_path / "page.html").read_text()
    with EngineStore.open(folder, read_only=True) as store:
        work = read_work(store, StatePolicy(), 36.0)
    assert [(at, who) for at, who in work.finished] == [(86_400.0, "human"), (172_800.0, "human")]
    assert (work.rest.pairs, work.rest.money) == (2, pytest.approx(36 * work.rest.hours))
    text = " ".join(re.sub(r"<[^>]+>", " ", page.partition("<body>")[2]).split())
    assert "2 of 4 pairs are finished" in text
    assert "all 2 (50 %) 0 (0 %) 2 (50 %)" in text
    assert f"{work.rest.money:.2f} in wages; 2 pairs" in text
    assert "by people alone: 2" in text
    assert "1970-01-02 00:00 UTC 1970-01-03 00:00 UTC" in text
    assert "&lt;b&gt;" in page
    assert "<b>" not in page
    assert not re.search(r"<script|https?://|\bsrc=", page)


def test_a_page_that_cannot_be_written_or_is_asked_for_twice_is_one_line(folder: Path, tmp_path: Path) -> None:
    for words, said in (
        (("--html", tmp_path / "nowhere" / "page.html"), "cannot be written"),
        (("--html", tmp_path / "page.html", "--json"), "give one of them"),
        (("--wage", "3"), "--wage is for the page"),
    ):
        done = CliRunner().invoke(app, ["engine", "status", str(folder), *map(str, words)])
        assert (done.exit_code, done.stderr.count("\n")) == (2, 1), done.stderr
        assert said in done.stderr
    assert not [*tmp_path.glob("*.html")]
