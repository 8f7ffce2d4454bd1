"""What is left for machines: by the speed that runs have kept, and told as not known where none has."""

import json
import re
from pathlib import Path
from time import monotonic

import pytest
from typer.testing import CliRunner

from agent.cli.main import app
from engine.pairs import Correction
from engine.project.beginning import Materials, begin_engine
from engine.project.stage_runs import MEASURED_STAGES, MeasuredStage, StageRun, add_stage_run, find_latest_stage_runs
from engine.report.work import describe_work, read_work
from engine.states import StatePolicy
from engine.store.store import EngineStore
from sam3_tool import Sam3
from tests.support.engines import SteadyBackend, run_engine, write_photos


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An engine that was begun with four images and two phrases."""
    begin_engine(tmp_path / "engine", Materials(images=write_photos(tmp_path / "photos"), phrases=("Cups", "hat")))
    return tmp_path / "engine"


def ask_status(folder: Path, *words: str) -> str:
    done = CliRunner().invoke(app, ["engine", "status", str(folder), *words])
    assert done.exit_code == 0, done.stderr
    return done.stdout


def make_run(stage: MeasuredStage, pairs: int, seconds: float, device: str = "NVIDIA H200") -> StageRun:
    return StageRun(stage=stage, pairs=pairs, seconds=seconds, device=device, made_by="tiny", at=1.0)


def test_every_stage_of_a_run_keeps_its_speed_and_a_run_that_does_nothing_keeps_none(folder: Path) -> None:
    run_engine(folder)
    with EngineStore.open(folder) as store:
        runs = find_latest_stage_runs(store.database)
    assert {stage: run.pairs for stage, run in runs.items()} == {"masks": 8, "mv": 4, "ev": 4}
    assert runs["masks"].device == "scripted"
    assert runs["mv"].device not in ("", "signals")
    assert runs["mv"].made_by.startswith("model:signals@")
    assert all(run.pairs_per_second > 0 for run in runs.values())
    run_engine(folder)
    with EngineStore.open(folder) as store:
        assert find_latest_stage_runs(store.database) == runs


def test_the_device_is_told_by_its_name(tiny: Sam3) -> None:
    assert tiny.device_name not in ("", "cpu", tiny.runs_on)
    assert Sam3(SteadyBackend()).device_name == ""


def test_hours_are_pairs_by_the_speed_of_the_last_run_of_their_stage(folder: Path) -> None:
    run_engine(folder, deadline=monotonic() - 1)
    with EngineStore.open(folder) as store:
        assert read_work(store, StatePolicy(), None).machine.hours is None
        for run in (make_run("masks", 1, 7.0), make_run("masks", 10, 5.0), make_run("mv", 8, 2.0, "a processor")):
            add_stage_run(store.database, run)
        work = read_work(store, StatePolicy(), None)
    assert work.machine.pairs == {"masks": 8, "mv": 8, "ev": 8}
    assert work.machine.hours == pytest.approx((8 / 2 + 8 / 4) / 3600)
    assert work.machine.unknown == ("ev",)
    [_, (_, name, told)] = describe_work(work)
    assert name == "machines"
    assert told == (
        "1 min, from the last run on NVIDIA H200 (masks: 2 pairs a second over 10);"
        " from the last run on a processor (mask verification: 4 pairs a second over 8);"
        " not known yet for exhaustivity verification: no run has done any here"
    )


def test_what_people_must_decide_is_left_for_no_machine_but_for_the_coverage_after_it(folder: Path) -> None:
    run_engine(folder)
    with EngineStore.open(folder) as store:
        work = read_work(store, StatePolicy(), None)
    assert work.machine.pairs == {"masks": 0, "mv": 0, "ev": 4}
    assert [run.stage for run in work.machine.measured] == ["ev"]


def test_a_stage_that_no_run_has_reached_is_told_apart_from_a_folder_without_a_run(folder: Path) -> None:
    run_engine(folder, until="masks")
    with EngineStore.open(folder) as store:
        [_, (_, _, told)] = describe_work(read_work(store, StatePolicy(), None))
    assert told == "not known yet for mask verification and exhaustivity verification: no run has done any here"
    run_engine(folder)
    with EngineStore.open(folder) as store:
        pairs = [pair.key for pair in store.pairs()]
        store.append(
            [Correction(pair=pair, masks=(), groups=(), exhaustive=True, by="human:anna", at=1.0) for pair in pairs]
        )
        work = read_work(store, StatePolicy(), None)
    assert work.machine.hours == 0
    assert describe_work(work)[1][2] == "no pair waits for a machine"


def test_status_says_it_in_words_in_numbers_and_on_the_page(folder: Path, tmp_path: Path) -> None:
    begun = " ".join(ask_status(folder).split())
    assert "no pair waits for a person now" in begun
    assert "not known yet: no run has ended here; without the pairs of 4 images that are not read yet" in begun
    assert json.loads(ask_status(folder, "--json"))["left"]["machines"]["hours"] is None
    run_engine(folder, deadline=monotonic() - 1)
    assert "not known yet: no run has ended here" in " ".join(ask_status(folder).split())
    left = json.loads(ask_status(folder, "--json"))["left"]
    assert (left["machines"]["hours"], left["machines"]["unknown_stages"]) == (None, ["masks", "mv", "ev"])
    assert left["people"]["hours"] == 0
    with EngineStore.open(folder) as store:
        for stage in MEASURED_STAGES:
            add_stage_run(store.database, make_run(stage, 1, 3600.0, "<GPU>"))
    left = json.loads(ask_status(folder, "--json"))["left"]
    assert left["machines"]["hours"] == pytest.approx(24)
    assert {run["device"] for run in left["machines"]["measured"].values()} == {"<GPU>"}
    ask_status(folder, "--html", str(tmp_path / "page.html"))
    page = (tmp_path / "page.html").read_text()
    text = " ".join(re.sub(r"<[^>]+>", " ", page.partition("<body>")[2]).split())
    assert "24.0 h for machines, from the last run on &lt;GPU&gt;" in text
    assert "<GPU>" not in page
