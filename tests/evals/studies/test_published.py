"""The paper's table beside ours: complete, consistent, and filled by the commands that stand in it."""

import json
import shlex

from typer.testing import CliRunner

from agent.cli.main import app
from evals.reports.summary import Summary, SummaryRow
from evals.studies.published import (
    MAIN_BENCHMARKS,
    format_comparison_table,
    format_further_table,
    load_further_runs,
    load_published_runs,
)


def test_the_published_numbers_are_consistent_with_each_other():
    """The headline of OmniLabel is the harmonic mean of its two halves; ReasonSeg's test set is short and long."""
    for run in load_published_runs():
        told = run.published
        if run.dataset == "omnilabel":
            assert (
                abs(2 * told["ap_categ"] * told["ap_descr"] / (told["ap_categ"] + told["ap_descr"]) - told["ap"]) < 0.1
            )
        if "length: short" in told:
            low, high = sorted((told["length: short"], told["length: long"]))
            assert low - 0.05 <= told["giou"] <= high + 0.05
    assert len(load_published_runs()) == 6 * 3 + 4 * 8


def test_every_command_is_one_that_the_program_takes(tmp_path, monkeypatch):
    """It stops at what is missing here: the data."""
    monkeypatch.chdir(tmp_path)
    every = [*load_published_runs(), *load_published_runs(videos=True)]
    for dataset in {run.dataset for run in every}:
        run = next(run for run in every if run.dataset == dataset)
        words = shlex.split(run.format_command(tmp_path))
        done = CliRunner().invoke(app, words[words.index("sam3-agent") + 1 :])
        assert done.exit_code == 2
        assert "nothing is downloaded here: get it from" in done.stderr


def test_rows_of_agents_on_video_are_commands_of_their_own():
    runs = load_published_runs(videos=True)
    assert len({run.folder_name for run in runs}) == len(runs) == 5 * 3
    for run in runs:
        if "jf_reason" in run.published:
            assert abs((run.published["jf_referring"] + run.published["jf_reason"]) / 2 - run.published["jf"]) < 0.1


def test_a_finished_run_fills_its_cells_and_a_part_of_one_does_not(tmp_path):
    run = next(run for run in load_published_runs() if (run.dataset, run.split) == ("reasonseg", "test"))
    folder = tmp_path / run.folder_name
    folder.mkdir()
    row = SummaryRow(name="length: short", samples=1, value=0.5, low=0.4, high=0.6)
    summary = Summary(
        dataset="reasonseg",
        task="1-lisa",
        split="test",
        headline="giou",
        metrics={"giou": 0.625, "ciou": 0.5, "n": 779},
        metrics_of_successes={},
        overall=row,
        slices=(row,),
        per_sample={},
        statuses={},
        empty=0,
        unasked=0,
    )
    (folder / "scores.json").write_text(summary.model_dump_json())
    (folder / "manifest.json").write_text(json.dumps({"testing_only": True}))
    assert run.load_our_scores(tmp_path) == {}
    (folder / "manifest.json").write_text(json.dumps({"testing_only": False}))
    assert run.load_our_scores(tmp_path) == {"giou": 62.5, "ciou": 50.0, "length: short": 50.0}
    rows = format_comparison_table(
        [run for run in load_published_runs() if run.dataset in MAIN_BENCHMARKS], tmp_path
    ).splitlines()
    assert len(rows) == 2 + 18
    assert [line for line in rows[2:] if "|  |" not in line] == [
        line for line in rows if "giou 62.5, ciou 50.0" in line
    ]


def test_splits_that_others_are_quoted_on_are_commands_too_and_filled_by_their_runs(tmp_path, monkeypatch):
    runs = load_further_runs()
    names = {(run.dataset, run.split) for run in runs}
    assert len(names) == len(runs) == 6 + 6 + 2
    monkeypatch.chdir(tmp_path)
    for run in {run.dataset: run for run in runs}.values():
        words = shlex.split(run.format_command(tmp_path))
        done = CliRunner().invoke(app, words[words.index("sam3-agent") + 1 :])
        assert (done.exit_code, "nothing is downloaded here: get it from" in done.stderr) == (2, True)
    [run] = [run for run in runs if (run.dataset, run.split) == ("pbench", "level_2")]
    write_run(tmp_path / run.folder_name, run.dataset, run.split, "f1", 0.4)
    [line] = [line for line in format_further_table(runs, tmp_path).splitlines() if "pbench level_2" in line]
    assert "| f1 | SAM 3 24.6, Falcon Perception 0.6B 38.0 | f1 40.0 |" in line


def write_run(folder, dataset, split, headline, value):
    row = SummaryRow(name="all", samples=1, value=value, low=value, high=value)
    summary = Summary(
        dataset=dataset,
        task="1",
        split=split,
        headline=headline,
        metrics={headline: value},
        metrics_of_successes={},
        overall=row,
        slices=(),
        per_sample={},
        statuses={},
        empty=0,
        unasked=0,
    )
    folder.mkdir()
    (folder / "scores.json").write_text(summary.model_dump_json())
    (folder / "manifest.json").write_text(json.dumps({"testing_only": False}))
