"""From a sample to its prediction: the agent's answer, or SAM 3's own to a plain noun phrase. Never raises."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter

from agent import TOOLS, Budget, Episode, Planner, Task, Tool, run
from agent.budget import DEFAULT_BUDGET
from agent.episode import Usage
from evals.samples import STATUS, Prediction, Sample, Status
from sam3_tool import ConceptPrompt, Sam3

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Solved:
    prediction: Prediction
    episode: Episode | None = None
    """None where no planner was asked, and for a failure."""


@dataclass(frozen=True, eq=False)
class Solver:
    """Safe to share between threads, as its parts are."""

    sam3: Sam3
    planner: Planner
    tools: Sequence[type[Tool]] = TOOLS
    budget: Budget = DEFAULT_BUDGET
    threshold: float = 0.5
    """For samples that go to SAM 3 directly."""

    def __call__(self, sample: Sample) -> Solved:
        """A sample that raises, whatever it raises, is a failed prediction with no masks: it counts as wrong."""
        started = perf_counter()
        try:
            return self._ask_sam3(sample, started) if sample.direct else self._ask_agent(sample, started)
        except Exception as error:
            logger.warning("sample %s failed", sample.id, exc_info=error)
            what = " ".join(f"{type(error).__name__}: {error}".split())
            return Solved(Prediction.empty(sample.id, what, perf_counter() - started))

    def _ask_sam3(self, sample: Sample, started: float) -> Solved:
        report = self.sam3.run([(sample.open(), ConceptPrompt(sample.query, threshold=self.threshold))])
        [found] = report.instances
        seconds = perf_counter() - started
        usage = Usage(sam_encodes=report.encodes, sam_decodes=report.decodes, seconds=seconds)
        status: Status = "ok" if len(found) else "no_mask"
        return Solved(Prediction.of(sample.id, found, status, usage=usage, seconds=seconds))

    def _ask_agent(self, sample: Sample, started: float) -> Solved:
        episode = run(Task(sample.open(), sample.query), self.planner, self.sam3, tools=self.tools, budget=self.budget)
        assert episode.outcome is not None
        prediction = Prediction.of(
            sample.id,
            episode.answer,
            STATUS[episode.outcome],
            message=episode.message,
            usage=episode.usage,
            seconds=perf_counter() - started,
            error=episode.message if episode.outcome == "failed" else "",
        )
        return Solved(prediction, episode)
