"""How a run is getting on, in one line."""

from itertools import count

from evals.reports.progress import ProgressMeter
from evals.samples import Prediction


def test_the_line_tells_rate_time_left_metric_and_failures(world, tmp_path):
    samples = world.dataset.list_samples()
    done = {sample.id: world.solver(sample).prediction for sample in samples[:2]}
    ticks = iter(count(0.0, 5.0))
    meter = ProgressMeter(world.dataset, samples, done, clock=lambda: next(ticks))
    meter.add(world.solver(samples[2]).prediction)
    assert meter.format_line() == "3 of 12 samples, 0.2 a second, 45 s left, giou 1 so far"
    meter.add(Prediction.make_failed(samples[3].id, "no"))
    assert meter.format_line().endswith("1 failed")
    meter.add(world.solver(samples[3]).prediction)
    assert "failed" not in meter.format_line()


def test_a_metric_that_takes_long_is_worked_out_seldom(world):
    asked, now = [], [0.0]

    class Slow:
        def __getattr__(self, name):
            return getattr(world.dataset, name)

        def score(self, predictions):
            asked.append(now[0])
            now[0] += 10
            return world.dataset.score(predictions)

    meter = ProgressMeter(Slow(), world.dataset.list_samples(), {}, clock=lambda: now[0])
    prediction = world.solver(world.dataset.list_samples()[0]).prediction
    for _ in range(1000):
        meter.add(prediction)
        meter.format_line()
        now[0] += 1
    assert len(asked) <= 1000 * 0.05 / 10 + 1
