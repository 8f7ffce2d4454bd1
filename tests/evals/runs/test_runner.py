"""The runner asks every sample once, keeps what it has, and stops where going on makes no sense."""

import logging
from threading import Lock

import pytest

from evals.errors import TooManyFailuresError
from evals.runs.manifest import Selection
from evals.runs.run_folder import RunFolder
from evals.runs.runner import predict_samples
from evals.runs.solver import SampleResult
from evals.samples import Prediction, Sample


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)


class Counted:
    """A solver that knows what it was asked, and how many samples at a time."""

    def __init__(self, solve) -> None:
        self.solve, self.asked, self.running, self.most, self._lock = solve, [], 0, 0, Lock()

    def __call__(self, sample: Sample) -> SampleResult:
        with self._lock:
            self.asked.append(sample.id)
            self.running += 1
            self.most = max(self.most, self.running)
        try:
            return self.solve(sample)
        finally:
            with self._lock:
                self.running -= 1


def test_one_worker_and_sixteen_leave_the_same_files(world, results, tmp_path):
    world.ran(tmp_path / "one")
    world.ran(tmp_path / "sixteen", workers=16)
    assert results(tmp_path / "one") == results(tmp_path / "sixteen")


def test_predictions_come_in_the_order_of_the_data(world, tmp_path):
    with (evaluation := world.start(tmp_path)).run:
        found = evaluation.ask_samples(world.solver, workers=4)
    assert [prediction.id for prediction in found] == [sample.id for sample in world.dataset.list_samples()]


def test_what_is_done_is_not_asked_again(world, tmp_path):
    ids = [sample.id for sample in world.dataset.list_samples()]
    first = Counted(world.solver)
    world.ran(tmp_path)
    with (evaluation := world.start(tmp_path)).run:
        assert [p.id for p in evaluation.ask_samples(first)] == ids
    assert first.asked == []


def test_no_more_samples_than_workers_are_in_flight(world, tmp_path):
    counted = Counted(world.solver)
    with (evaluation := world.start(tmp_path)).run:
        evaluation.ask_samples(counted, workers=3)
    assert sorted(counted.asked) == sorted(sample.id for sample in world.dataset.list_samples())
    assert counted.most <= 3


def test_a_sample_that_raises_is_an_empty_prediction_and_the_run_goes_on(world, tmp_path):
    with (evaluation := world.start(tmp_path)).run:
        found = evaluation.ask_samples(world.failing(2))
    assert [prediction.status for prediction in found].count("failed") == 1
    assert (found[2].status, found[2].masks, found[2].error) == ("failed", (), "OSError: the disk is gone")


def test_what_failed_stays_failed_until_it_is_to_be_tried_again(world, tmp_path):
    with (evaluation := world.start(tmp_path)).run:
        evaluation.ask_samples(world.failing(2, 5))
        stays = Counted(world.solver)
        assert [p.status for p in evaluation.ask_samples(stays)].count("failed") == 2
        assert stays.asked == []
        again = Counted(world.solver)
        found = evaluation.ask_samples(again, retry_failed=True)
    assert sorted(again.asked) == sorted([found[2].id, found[5].id])
    assert "failed" not in [prediction.status for prediction in found]


def test_a_mended_run_equals_one_that_never_failed(world, results, tmp_path):
    with (evaluation := world.start(tmp_path / "mended")).run:
        evaluation.ask_samples(world.failing(0, 3))
    mended = world.ran(tmp_path / "mended", retry_failed=True)
    world.ran(tmp_path / "whole")
    assert results(tmp_path / "mended") == results(tmp_path / "whole")
    assert mended.compute_costs(mended.load_predictions()).asked_again == 2


def test_a_run_that_mostly_fails_stops_and_can_go_on(world, tmp_path):
    one = world.dataset.list_samples()[0]
    many = [Sample(f"sample {number}", one.query, one.source, one.open_image, one.group) for number in range(60)]
    with (
        world.start(tmp_path).run as run,
        pytest.raises(
            TooManyFailuresError, match=r"^stopped: \d+ of \d+ samples failed, the last one with 'no server'; mend"
        ),
    ):
        predict_samples(
            many, lambda sample: SampleResult(Prediction.make_failed(sample.id, "no server")), run, fail_on_error=0.5
        )
    assert len(RunFolder(tmp_path).load_predictions()) == 20
    with world.start(tmp_path).run as run:
        found = predict_samples(
            many, lambda sample: SampleResult(Prediction(id=sample.id, status="ok")), run, retry_failed=True
        )
    assert {prediction.status for prediction in found} == {"ok"}


def test_few_samples_are_too_few_to_stop_for(world, tmp_path):
    with (evaluation := world.start(tmp_path)).run:
        found = evaluation.ask_samples(world.failing(*range(12)), fail_on_error=0.05)
    assert {prediction.status for prediction in found} == {"failed"}


def test_only_the_samples_that_are_wanted_are_asked(world, tmp_path):
    ids = [sample.id for sample in world.dataset.list_samples()]
    with (evaluation := world.start(tmp_path, Selection(ids=(ids[4], ids[1])))).run:
        found = evaluation.ask_samples(world.solver)
    assert [prediction.id for prediction in found] == [ids[1], ids[4]]
