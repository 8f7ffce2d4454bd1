"""Two runs are compared pair by pair."""

import logging

import pytest

from evals.errors import RunError
from evals.reports.compare import compare_predictions
from evals.runs.run_folder import RunFolder


@pytest.fixture
def runs(world, tmp_path, caplog):
    """The second one has three failures."""
    caplog.set_level(logging.CRITICAL)
    world.ran(tmp_path / "a")
    with (evaluation := world.start(tmp_path / "b")).run:
        evaluation.ask_samples(world.failing(0, 4, 5))
    return RunFolder(tmp_path / "a"), RunFolder(tmp_path / "b")


def test_a_run_does_not_differ_from_itself(world, runs):
    found = compare_predictions(world.dataset, runs[0], runs[0])
    assert (found.difference.low, found.difference.high) == (0, 0)
    assert found.samples == 12


def test_the_difference_is_that_of_the_two_headlines(world, runs):
    found = compare_predictions(world.dataset, *runs)
    scores = [world.dataset.score(list(run.load_predictions().values())) for run in runs]
    assert (found.first, found.second) == tuple(score.metrics[score.headline] for score in scores)
    assert found.difference.low <= found.second - found.first <= found.difference.high <= 0
    assert str(found).startswith(f"{found.headline} over 12 samples: ")


def test_only_what_both_have_done_counts(world, runs):
    first, second = runs
    second.samples_path.write_bytes(b"".join(second.samples_path.read_bytes().splitlines(keepends=True)[:5]))
    assert compare_predictions(world.dataset, first, second).samples == 5
    second.samples_path.unlink()
    with pytest.raises(RunError, match="have no finished sample in common"):
        compare_predictions(world.dataset, first, second)


def test_runs_of_different_data_are_not_compared(world, runs, tmp_path):
    with (
        world.start(tmp_path / "c", data="other").run as other,
        pytest.raises(RunError, match="cannot be compared: data"),
    ):
        compare_predictions(world.dataset, runs[0], other)
