"""A run's folder holds everything: traces, the benchmark's files, scores, a report that leads to every sample."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from agent import GrammarPlanner
from agent.records import episode_file as transcript
from evals import RunError, compare_runs, evaluate, load_dataset
from evals.datasets.synthetic.scenes import TruthBackend, generate_queries
from evals.evaluation import Evaluation, load_costs
from evals.runs.manifest import Selection
from evals.runs.run_folder import RunFolder
from evals.samples import Prediction, Sample
from sam3_tool import Image, Sam3, ScriptedBackend
from sam3_tool.errors import RecordError


@pytest.fixture(scope="module")
def done(world, tmp_path_factory) -> Path:
    """A run with two failures."""
    path = tmp_path_factory.mktemp("run")
    with (evaluation := world.start(path)).run:
        predictions = evaluation.ask_samples(world.failing(1, 7))
        evaluation.write_predictions(predictions)
    evaluation.write_report(evaluation.score(predictions, draws=50), predictions, pages=3)
    return path


def scores(run: Path) -> dict:
    return json.loads((run / "scores.json").read_text())


def test_a_run_leaves_these_files(done):
    assert {path.name for path in done.iterdir()} == {
        *("manifest.json", "samples.jsonl", "traces", "predictions", "pages", ".lock"),
        *("scores.json", "costs.json", "report.md", "report.html"),
    }


def test_scores_are_those_of_the_data_set_with_failures_as_empty_answers(world, done):
    evaluation = Evaluation.open(done)
    official = world.dataset.score(evaluation.load_predictions())
    held = scores(done)
    assert held["headline"] == official.headline
    assert held["metrics"] == dict(official.metrics)
    assert held["overall"]["value"] == official.metrics[official.headline]
    assert held["metrics_of_successes"]["n"] == len(world.dataset.list_samples()) - 2
    assert held["metrics_of_successes"][official.headline] > held["metrics"][official.headline]
    assert (held["statuses"]["failed"], held["unasked"]) == (2, 0)
    assert held["empty"] == sum(not one.masks for one in evaluation.load_predictions())
    assert held["overall"]["low"] <= held["overall"]["value"] <= held["overall"]["high"]


def test_every_slice_has_its_row_and_all_samples_are_in_one(world, done):
    kinds = {f"kind: {sample.slices['kind']}" for sample in world.dataset.list_samples()}
    rows = scores(done)["slices"]
    assert {row["name"] for row in rows} == kinds
    assert sum(row["samples"] for row in rows) == len(world.dataset.list_samples())


def test_nothing_in_the_scores_is_measured_in_time(done):
    assert not re.search(r"second|time|date|machine", (done / "scores.json").read_text())
    assert load_costs(done).seconds > 0


def test_scoring_again_needs_no_model_and_changes_no_byte(done, results):
    before = results(done)
    evaluation = Evaluation.open(done)
    predictions = evaluation.load_predictions()
    evaluation.write_predictions(predictions)
    evaluation.score(predictions, draws=50)
    assert results(done) == before


def test_a_trace_is_the_episode_without_its_picture(world, done):
    sample = world.dataset.list_samples()[0]
    path = RunFolder(done).get_trace_path(sample.id)
    assert json.loads(path.read_text())["picture"]["png"] == ""
    with pytest.raises(RecordError, match="cannot be used: its image was left out when it was saved"):
        transcript.load_episode(path)
    with pytest.raises(RecordError, match=r"is about another image of .* pixels than the one given"):
        transcript.load_episode(path, image=Image(np.zeros((5, 5, 3), np.uint8)))
    episode = transcript.load_episode(path, image=sample.open_image()).episode
    assert episode.task.query == sample.query
    assert (
        Prediction.from_instances(sample.id, episode.answer, "ok").masks
        == RunFolder(done).load_predictions()[sample.id].masks
    )


def test_a_failed_sample_has_no_trace_and_one_that_fails_the_second_time_loses_it(world, tmp_path):
    evaluation = world.ran(tmp_path)
    trace = evaluation.run.get_trace_path(world.dataset.list_samples()[3].id)
    assert trace.exists()
    (tmp_path / "samples.jsonl").unlink()
    with (again := world.start(tmp_path)).run:
        again.ask_samples(world.failing(3))
    assert not trace.exists()


def test_the_worst_samples_have_pages_and_so_has_each_slice(done):
    evaluation, own = Evaluation.open(done), scores(done)["per_sample"]
    drawn = {sample.id for sample in evaluation.samples if evaluation.run.get_page_path(sample.id).exists()}
    assert sorted(own, key=own.__getitem__)[0] in drawn
    assert {s.slices["kind"] for s in evaluation.samples if s.id in drawn} == {
        s.slices["kind"] for s in evaluation.samples
    }


def test_the_report_leads_from_the_headline_to_a_slice_to_a_sample_to_its_page(done):
    html = (done / "report.html").read_text()
    number = f"{scores(done)['overall']['value']:.4g}"
    assert number in html
    for anchor in re.findall(r'href="#(slice-\d+)"', html):
        section = html.split(f'<details id="{anchor}">')[1].split("</details>")[0]
        links = re.findall(r'href="(pages/[^"]+)"', section)
        assert links
        assert all((done / link).is_file() for link in links)
    assert "<script" not in html


def test_the_markdown_has_the_same_numbers(done):
    text = (done / "report.md").read_text()
    held = scores(done)
    assert text.startswith(f"# scenes test: {held['headline']} {held['overall']['value']:.4g}\n")
    assert "12 scored, 2 failed, " in text
    assert "not the whole split" not in text


def test_a_count_in_the_report_has_all_its_digits(done):
    evaluation = Evaluation.open(done)
    summary = evaluation.score(evaluation.load_predictions(), draws=50)
    counted = summary.model_copy(update={"metrics": {**summary.metrics, "n": 10834, "pairs": 100_000.0, "mae": 3.25}})
    evaluation.write_report(counted, evaluation.load_predictions(), pages=0)
    assert "| n | 10834 | 10 |" in (done / "report.md").read_text()
    assert "| pairs | 100000 | - |" in (done / "report.md").read_text()
    assert "| mae | 3.25 | - |" in (done / "report.md").read_text()
    assert "10834" in (done / "report.html").read_text()
    evaluation.write_report(summary, evaluation.load_predictions(), pages=3)


def test_a_page_shows_the_episode_the_ground_truth_and_the_difference(world, done):
    evaluation = Evaluation.open(done)
    path = evaluation.draw_page(evaluation.samples[0], evaluation.load_predictions()[0])
    html = path.read_text()
    assert evaluation.samples[0].query in html
    assert "ground truth: " in html
    assert "green: right, blue: missed, red: too much" in html
    assert html.count("data:image/jpeg") >= 4


def test_a_sample_that_failed_has_a_page_that_says_why(done):
    evaluation = Evaluation.open(done)
    path = evaluation.draw_page(evaluation.samples[1], evaluation.load_predictions()[1])
    assert "OSError: the disk is gone" in path.read_text()


def test_a_sample_for_sam3_alone_has_a_page_too(world, tmp_path):
    one = world.dataset.list_samples()[0]
    direct = Sample(
        one.id, "triangles", one.source, one.open_image, one.group, one.slices, direct=True, target=one.target
    )
    with world.start(tmp_path).run as run:
        evaluation = Evaluation(run, world.dataset, [direct])
        [prediction] = evaluation.ask_samples(world.solver)
        html = evaluation.draw_page(direct, prediction).read_text()
    assert not (tmp_path / "traces").exists()
    assert "SAM 3 was asked directly; presence" in html
    assert "ground truth" in html


def test_a_page_that_cannot_be_drawn_is_left_out(world, done, caplog):
    evaluation = Evaluation.open(done)
    RunFolder(done).get_trace_path(evaluation.samples[4].id).write_text("{")
    assert evaluation.draw_page(evaluation.samples[4], evaluation.load_predictions()[4]) is None
    assert "no page for sample" in caplog.text


def test_a_picture_of_another_size_than_its_ground_truth_has_no_page_and_the_report_is_made(world, tmp_path, caplog):
    one, two = world.dataset.list_samples()[:2]
    other = replace(one, target=lambda: np.ones((5, 7), bool))
    with world.start(tmp_path).run as run:
        evaluation = Evaluation(run, world.dataset, [other, two])
        predictions = evaluation.ask_samples(world.solver)
        evaluation.write_report(evaluation.score(predictions, draws=20), predictions)
    assert f"no page for sample {one.id}: the ground truth of '{one.id}' is of 7 x 5 pixels, its image" in caplog.text
    assert not run.get_page_path(one.id).exists()
    assert run.get_page_path(two.id).exists()
    assert (tmp_path / "report.html").exists()


def test_a_run_that_has_not_come_to_its_end_can_be_scored_and_says_so(world, tmp_path):
    whole = world.ran(tmp_path / "whole")
    lines = (tmp_path / "whole" / "samples.jsonl").read_bytes().splitlines(keepends=True)
    world.start(tmp_path / "half").run.__exit__()
    (tmp_path / "half" / "samples.jsonl").write_bytes(b"".join(lines[:5]))
    evaluation = Evaluation.open(tmp_path / "half")
    predictions = evaluation.load_predictions()
    summary = evaluation.score(predictions, draws=50)
    evaluation.write_report(summary, predictions, pages=0)
    assert len(predictions) == len(whole.samples)
    assert (summary.unasked, summary.failed) == (7, 7)
    assert "UNFINISHED: 7 of 12 samples were not asked" in (tmp_path / "half" / "report.md").read_text()
    assert load_costs(tmp_path / "half").samples == 5


def test_a_part_of_the_split_is_for_testing_only(world, tmp_path):
    world.ran(tmp_path, Selection(limit=3))
    assert "TESTING ONLY" in (tmp_path / "report.md").read_text()
    assert "TESTING ONLY" in (tmp_path / "report.html").read_text()
    assert len(Evaluation.open(tmp_path).samples) == 3


def test_a_run_is_not_scored_on_other_data(world, tmp_path):
    world.ran(tmp_path)
    with pytest.raises(RunError, match="was made with other data: data is"):
        Evaluation.open(tmp_path, options={"seed": "1"})


def test_hostile_text_stays_text_in_the_report(world, tmp_path):
    one = world.dataset.list_samples()[0]
    hostile = Sample(one.id, "<script>alert(1)</script>|x", "<b>.png", one.open_image, one.group, target=one.target)
    with world.start(tmp_path).run as run:
        evaluation = Evaluation(run, world.dataset, [hostile])
        predictions = evaluation.ask_samples(world.solver)
        evaluation.write_report(evaluation.score(predictions, draws=20), predictions)
    html = (tmp_path / "report.html").read_text()
    assert "&lt;script&gt;alert(1)&lt;/script&gt;|x" in html
    assert "<script" not in html


def test_boxes_that_are_to_be_found_are_drawn_beside_those_that_were(world, tmp_path):
    one = world.dataset.list_samples()[0]
    boxes = [(10.0, 20.0, 60.0, 50.0), (5.0, 5.0, 5.0, 5.0)]
    boxed = Sample(one.id, one.query, one.source, one.open_image, one.group, one.slices, target_boxes=boxes)
    with world.start(tmp_path).run as run:
        evaluation = Evaluation(run, world.dataset, [boxed])
        [prediction] = evaluation.ask_samples(world.solver)
        html = evaluation.draw_page(boxed, prediction).read_text()
    assert f"boxes to be found: 2, in green; found: {len(prediction.boxes)}, in red" in html


def test_a_run_from_python_goes_on_where_it_stopped_and_is_compared(tmp_path):
    scenes = load_dataset("scenes", number=4, size="200x150")
    sam3 = Sam3(TruthBackend([query.scene for query in generate_queries(4, sizes=((200, 150),))]))
    asked: list[str] = []
    settings = {"pages": 0, "draws": 10, "on_result": lambda sample, result: asked.append(sample.id)}
    first = evaluate(scenes, GrammarPlanner(), sam3, out=tmp_path / "a", workers=2, **settings)
    assert first.summary.metrics["giou"] == first.summary.overall.value > 0.9
    assert sorted(asked) == sorted(sample.id for sample in scenes.list_samples())
    assert [prediction.id for prediction in first.predictions] == [sample.id for sample in scenes.list_samples()]
    again = evaluate(scenes, GrammarPlanner(), sam3, out=tmp_path / "a", **settings)
    assert (len(asked), again.summary) == (4, first.summary)
    with pytest.raises(RunError, match="holds another run"):
        evaluate(scenes, GrammarPlanner(), sam3, out=tmp_path / "a", threshold=0.25, **settings)
    evaluate(scenes, GrammarPlanner(), Sam3(ScriptedBackend({})), out=tmp_path / "b", **settings)
    compared = compare_runs(tmp_path / "b", tmp_path / "a", draws=10)
    assert (compared.samples, compared.second) == (4, first.summary.metrics["giou"])
    assert compared.first < compared.second
