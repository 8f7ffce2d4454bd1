"""Runs about videos, end to end: asked, followed, interrupted, scored, compared, and shown on pages."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from agent import VIDEO, GrammarPlanner
from evals import RunError, compare_runs, evaluate, load_dataset
from evals.datasets.loading import LoadedDataset
from evals.datasets.synthetic.make_videos import ClipCase, list_cases, write_videos
from evals.evaluation import Evaluation
from evals.runs.run_folder import RunFolder
from evals.runs.solver import Solver
from sam3_tool import Masklet, Masklets, Sam3, ScriptedBackend
from sam3_tool.synthetic.nouns import pluralize_noun

KINDS = ("moves left",)


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> dict[str, Path]:
    return write_videos(tmp_path_factory.mktemp("videos"), number=1, kinds=KINDS)


@pytest.fixture(scope="module")
def case() -> ClipCase:
    return list_cases(1, kinds=KINDS)[0]


@pytest.fixture(scope="module")
def know_truth(case) -> Callable[[LoadedDataset], Sam3]:
    """A function: data set -> a scripted SAM 3 that finds the clip's nouns in its frames, as JPEG has left them."""

    def build(dataset: LoadedDataset) -> Sam3:
        video, script = dataset.list_samples()[0].open_video(), {}
        masklets = [Masklet.from_masks(case.clip.get_masks(i), score=0.9) for i in range(len(case.clip.actors))]
        for noun, targets in case.nouns.items():
            chosen, ids = tuple(masklets[i] for i in targets), tuple(i + 1 for i in targets)
            presence = np.full(len(video), bool(targets), np.float32)
            for phrase in (noun, pluralize_noun(noun)):
                script[phrase] = Masklets(chosen, ids, case.size, len(video), phrase, presence)
        return Sam3(ScriptedBackend.from_video(video, script))

    return build


def read_results(run: Path) -> dict[str, bytes]:
    files = [*sorted(path for path in (run / "predictions").rglob("*") if path.is_file()), run / "scores.json"]
    return {path.relative_to(run).as_posix(): path.read_bytes() for path in files}


@pytest.fixture(scope="module")
def mevis(world, know_truth, tmp_path_factory):
    """A finished run of the agent, with its data set and its SAM 3."""
    dataset = load_dataset("mevis", world["mevis"], "valid_u")
    sam3, path = know_truth(dataset), tmp_path_factory.mktemp("runs") / "mevis"
    return evaluate(dataset, GrammarPlanner(VIDEO), sam3, out=path, draws=20), dataset, sam3


def test_the_agent_answers_expressions_about_videos_with_masklets(mevis, case):
    run, dataset, _ = mevis
    plain = dataset.list_samples()[1]
    assert run.summary.per_sample[plain.id] == pytest.approx(100)
    assert run.summary.statuses["failed"] == 0
    found = run.predictions[1].load_masklets()
    assert sorted(len(masklet) for masklet in found) == sorted(
        int(case.clip.seen[:, index].sum()) for index in case.nouns[case.clip.objects[case.query.targets[0]].noun]
    )
    assert RunFolder(run.path).load_predictions()[plain.id] == run.predictions[1]


def test_a_run_that_ended_early_goes_on_and_ends_as_if_it_had_not(mevis, tmp_path):
    run, dataset, sam3 = mevis
    folder = tmp_path / "again"
    folder.mkdir()
    first, _ = (run.path / "samples.jsonl").read_bytes().splitlines(keepends=True)
    (folder / "manifest.json").write_bytes((run.path / "manifest.json").read_bytes())
    (folder / "samples.jsonl").write_bytes(first + b'{"id": "torn')
    asked = []
    evaluate(
        dataset,
        GrammarPlanner(VIDEO),
        sam3,
        out=folder,
        draws=20,
        on_result=lambda sample, result: asked.append(sample.id),
    )
    assert asked == [dataset.list_samples()[1].id]
    assert read_results(folder) == read_results(run.path)
    comparison = compare_runs(run.path, folder, draws=10)
    assert (comparison.difference.low, comparison.difference.high) == (0, 0)


def test_a_page_shows_the_answer_and_what_was_to_be_found(mevis):
    run, dataset, _ = mevis
    pages = sorted((run.path / "pages").iterdir())
    assert len(pages) == len(dataset.list_samples())
    html = pages[0].read_text(encoding="utf-8")
    assert "ground truth: 1 objects" in html
    assert html.count("<img") >= 2
    assert "mevis valid_u" in (run.path / "report.md").read_text(encoding="utf-8")


def test_a_damaged_masklet_is_a_damaged_line(mevis, tmp_path):
    run, _, _ = mevis
    (tmp_path / "manifest.json").write_bytes((run.path / "manifest.json").read_bytes())
    text = (run.path / "samples.jsonl").read_text(encoding="utf-8")
    counts = run.predictions[1].masklets[0].counts[0]
    (tmp_path / "samples.jsonl").write_text(text.replace(counts, counts + "00000", 1), encoding="utf-8")
    with pytest.raises(RunError, match="line 2 is damaged"):
        Evaluation.open(tmp_path).load_predictions()


@pytest.mark.parametrize(("name", "split"), [("davis", "val"), ("sav", "val")])
def test_given_objects_are_followed(world, know_truth, tmp_path, name, split):
    dataset = load_dataset(name, world[name], split)
    run = evaluate(dataset, GrammarPlanner(VIDEO), know_truth(dataset), out=tmp_path / "run", draws=20)
    assert run.summary.metrics["jf"] > 99  # SAM 3 fills the smallest holes of given masks
    scores = dataset.score_file(run.path / "predictions")
    assert scores["jf"] == pytest.approx(run.summary.metrics["jf"], abs=1e-9)
    assert "ground truth" in next((run.path / "pages").iterdir()).read_text(encoding="utf-8")


def test_phrases_are_tracked_without_a_planner(world, know_truth, tmp_path):
    dataset = load_dataset("saco-veval", world["saco-veval"], "sav-test")
    run = evaluate(dataset, GrammarPlanner(VIDEO), know_truth(dataset), out=tmp_path / "run", draws=20)
    assert run.summary.metrics["cgF1"] == pytest.approx(100, abs=0.02)
    assert run.summary.metrics["pHOTA"] == pytest.approx(100)
    assert run.summary.statuses["no_mask"] == 1


def test_a_sample_whose_video_cannot_be_read_fails_alone(world, know_truth, tmp_path):
    dataset = load_dataset("mevis", world["mevis"], "valid")
    broken = next((world["mevis"] / "valid" / "JPEGImages").iterdir()) / "00007.jpg"
    whole = broken.read_bytes()
    broken.write_bytes(b"no image")
    try:
        result = Solver(Sam3(ScriptedBackend({})), GrammarPlanner(VIDEO))(dataset.list_samples()[0])
    finally:
        broken.write_bytes(whole)
    assert result.prediction.status == "failed"
    assert "frame 7 cannot be read" in result.prediction.error
