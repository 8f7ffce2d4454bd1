"""What strategies are worth, measured on a small simulated world, and the committed numbers."""

import json
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from agent import Budget, Task, run
from evals.simulation.model import SimulatedModel
from evals.simulation.profile import Profile, load_profiles
from evals.simulation.samples import collect_truths, draw_samples
from evals.simulation.segmenter import SimulatedSegmenter
from evals.studies import strategies as study
from evals.studies.strategies import (
    ALL,
    BASELINE,
    LIMITS,
    WAYS,
    answer_samples,
    build_planner,
    format_way_table,
    list_ways,
    measure_episode,
    measure_ways,
    summarize_way,
)
from evals.studies.strategy_plot import draw_curves
from sam3_tool import Sam3

RESULTS = Path(__file__).parents[3] / "benchmarks" / "results" / "accuracy"


@pytest.fixture(scope="module")
def samples():
    return draw_samples(5, seed=5, sizes=((160, 120),))


def test_a_limit_of_tokens_is_scored_as_if_the_budget_had_it(samples):
    truths, profile = collect_truths(samples), Profile("some", 0.5)
    sam3 = Sam3(SimulatedSegmenter(truths))
    for way in (BASELINE, ALL):
        planner = build_planner(way, SimulatedModel(truths, profile))
        for sample in samples[:2]:
            task = Task(sample.image, sample.query)
            whole = measure_episode(sample, run(task, planner, sam3))
            for limit, expected in list(zip(LIMITS, whole.limited, strict=True))[1:6:3]:
                ended = run(task, planner, sam3, budget=Budget(max_tokens=limit))
                assert measure_episode(sample, ended).iou == expected


def test_leads_are_taken_sample_by_sample(samples):
    profile = Profile("some", 0.5)
    answers = answer_samples("short-questions", samples, profile)
    baseline = answer_samples(BASELINE, samples, profile)
    found = summarize_way(answers, baseline, draws=50)
    assert found["lead"][0] == pytest.approx(found["giou"][0] - 100 * np.mean([one.iou for one in baseline]), abs=0.02)
    assert summarize_way(baseline, baseline, draws=50)["lead"] == [0, 0, 0]
    assert found["lead"][1] <= found["lead"][0] <= found["lead"][2]


def test_numbers_become_a_table_and_a_plot(samples):
    rows: dict = {}
    for name, way, summary in measure_ways(samples[:2], {"7B": load_profiles()["7B"]}, (BASELINE, "hypotheses")):
        rows.setdefault(name, {})[way] = summary
    table = format_way_table(rows["7B"])
    assert "hypotheses" in table
    assert "+0.0 (+0.0 to +0.0)" in table
    drawn = ElementTree.fromstring(draw_curves(rows))
    assert len(drawn.findall("{http://www.w3.org/2000/svg}polyline")) == 2


def test_the_command_writes_numbers_and_a_plot(tmp_path, capsys):
    study.main(["--number", "1", "--out", str(tmp_path / "found.json")])
    assert "simulated" in capsys.readouterr().out
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["simulation"] is True
    assert list(found["profiles"]["7B"]) == list_ways(readable=False)
    assert {*WAYS} - {*list_ways(readable=False)} <= {f"{ALL},thesaurus"}
    assert (tmp_path / "found.svg").exists()


def test_the_committed_numbers_are_of_the_committed_profiles_and_ways():
    found = json.loads((RESULTS / "strategies.json").read_text())
    assert list(found["profiles"]) == list(load_profiles())
    assert list(found["profiles"]["frontier"]) == list(WAYS)
    unmeasured = {(who, way) for who, rows in found["profiles"].items() for way in {*WAYS} - {*rows}}
    assert unmeasured <= {("7B", f"{ALL},thesaurus")}, "as the page says"
    assumed = Profile("assumed")
    assert found["assumed"] == {name: getattr(assumed, name) for name in found["assumed"]}
