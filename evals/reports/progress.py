"""Progress of a run, in one line: rate, time left, the metric so far."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from time import monotonic

from agent.core.text.english import format_duration
from evals.samples import Dataset, Prediction, Sample

METRIC_TIME_SHARE = 0.05
"""Share of a run's time that may go into the metric so far."""


@dataclass
class ProgressMeter:
    """Counts samples as they finish. For one thread."""

    dataset: Dataset
    samples: Sequence[Sample]
    done: dict[str, Prediction]
    """Sample id -> prediction, of what was done before."""
    clock: Callable[[], float] = monotonic
    _started: float = field(init=False)
    _failed: int = field(init=False)
    _asked: int = 0
    _metric: str = ""
    _next: float = 0.0

    def __post_init__(self) -> None:
        wanted = {sample.id for sample in self.samples}
        self.done = {id: prediction for id, prediction in self.done.items() if id in wanted}
        self._failed = sum(prediction.status == "failed" for prediction in self.done.values())
        self._started = self.clock()

    def add(self, prediction: Prediction) -> None:
        before = self.done.get(prediction.id)
        self._failed += (prediction.status == "failed") - (before is not None and before.status == "failed")
        self._asked += 1
        self.done[prediction.id] = prediction

    def format_line(self) -> str:
        """Say how the run stands, for people."""
        failed = self._failed
        parts = [f"{len(self.done)} of {len(self.samples)} samples", *self._format_pace(), self._format_metric()]
        return ", ".join(part for part in (*parts, f"{failed} failed" if failed else "") if part)

    def _format_pace(self) -> list[str]:
        taken, here = self.clock() - self._started, self._asked
        if here <= 0 or taken <= 0:
            return []
        left = (len(self.samples) - len(self.done)) * taken / here
        return [f"{here / taken:.3g} a second", f"{format_duration(left)} left"]

    def _format_metric(self) -> str:
        """The metric over what is done, worked out anew as often as that is cheap."""
        now = self.clock()
        if now >= self._next:
            scores = self.dataset.score([self.done[s.id] for s in self.samples if s.id in self.done])
            self._metric = f"{scores.headline} {scores.metrics[scores.headline]:.4g} so far"
            self._next = self.clock() + (self.clock() - now) / METRIC_TIME_SHARE
        return self._metric
