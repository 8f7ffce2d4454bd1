"""The evaluation tables of the README are what their commands print."""

import json
from pathlib import Path

from bench.suites import scenes
from evals.metrics.__main__ import main as show_metrics
from evals.studies.published import MAIN_BENCHMARKS, load_published_runs
from evals.studies.published import format_table as published_table

README = (Path(__file__).parents[3] / "README.md").read_text(encoding="utf-8")


def test_the_table_of_metrics_is_what_the_command_prints(capsys):
    show_metrics()
    assert capsys.readouterr().out.strip() in README


def test_the_table_of_scenes_is_that_of_the_committed_results():
    assert scenes.format_scores(json.loads(scenes.RESULTS.read_text(encoding="utf-8"))) in README


def test_the_published_table_is_what_the_command_prints_before_any_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert (
        published_table([run for run in load_published_runs() if run.dataset in MAIN_BENCHMARKS], Path("runs"))
        in README
    )
