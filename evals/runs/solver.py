"""From a sample to its prediction: the agent's answer, SAM 3's own to a plain noun phrase, or objects followed by it.

It never raises.
"""

import logging
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Any

import numpy as np

from agent import Budget, Episode, Planner, Task, run
from agent.core.budget import DEFAULT_BUDGET
from agent.core.usage import Usage
from agent.doubt.policy import NO_POLICY, DoubtPolicy, apply_doubt
from evals.samples import STATUS_BY_OUTCOME, Prediction, Sample, Status
from sam3_tool import (
    ConceptPrompt,
    Instances,
    Masklet,
    Masklets,
    Sam3,
    Video,
    VisualPrompt,
    collect_masklets,
)
from sam3_tool.masks.rle import decode_mask

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class SampleResult:
    """Hold the prediction of one sample, and the episode that led to it.

    Example:
        >>> SampleResult(Prediction.make_failed("a", "no server")).episode is None
        True
    """

    prediction: Prediction
    episode: Episode | None = None
    """None where no planner was asked, and for a failure."""


@dataclass(frozen=True, eq=False)
class Solver:
    """Safe to share between threads, as its parts are."""

    sam3: Sam3
    planner: Planner
    budget: Budget = DEFAULT_BUDGET
    threshold: float = 0.5
    """For samples that go to SAM 3 directly."""
    doubt: DoubtPolicy = NO_POLICY
    """What becomes of doubtful masks of the agent's answers."""

    def __call__(self, sample: Sample) -> SampleResult:
        """A sample that raises, whatever it raises, is a failed prediction with no masks: it counts as wrong."""
        started = perf_counter()
        try:
            if sample.open_video is not None:
                return self._solve_video(sample, sample.open_video(), started)
            if sample.direct:
                return self._ask_sam3(sample, started)
            return self._ask_agent(sample, Task(sample.open_image(), sample.query), started)
        except Exception as error:
            logger.warning("sample %s failed", sample.id, exc_info=error)
            what = " ".join(f"{type(error).__name__}: {error}".split())
            return SampleResult(Prediction.make_failed(sample.id, what, perf_counter() - started))

    def _ask_sam3(self, sample: Sample, started: float) -> SampleResult:
        lowest = self.threshold if sample.presence else 0.0
        report = self.sam3.run_requests([(sample.open_image(), ConceptPrompt(sample.query, threshold=lowest))])
        [found] = report.instances if sample.presence else [remove_presence_factor(report.instances[0], self.threshold)]
        seconds = perf_counter() - started
        usage = Usage.from_report(report) + Usage(seconds=seconds)
        status: Status = "ok" if len(found) else "no_mask"
        return SampleResult(Prediction.from_instances(sample.id, found, status, usage=usage, seconds=seconds))

    def _ask_agent(self, sample: Sample, task: Task, started: float) -> SampleResult:
        episode = apply_doubt(run(task, self.planner, self.sam3, budget=self.budget), self.doubt)
        assert episode.outcome is not None
        status = STATUS_BY_OUTCOME[episode.outcome]
        told: dict[str, Any] = {
            "message": episode.message,
            "usage": episode.usage,
            "seconds": perf_counter() - started,
            "error": episode.message if episode.outcome == "failed" else "",
        }
        if task.video is None:
            return SampleResult(Prediction.from_instances(sample.id, episode.answer, status, **told), episode)
        return SampleResult(Prediction.from_masklets(sample.id, episode.masklets, status, **told), episode)

    def _solve_video(self, sample: Sample, video: Video, started: float) -> SampleResult:
        if sample.given is not None:
            return _build_tracked(sample, self._follow_given(sample, video), started)
        if sample.direct:
            [found] = self.sam3.track_masklets(video, ConceptPrompt(sample.query, threshold=self.threshold))
            return _build_tracked(sample, found, started)
        return self._ask_agent(sample, Task.from_video(video, sample.query), started)

    def _follow_given(self, sample: Sample, video: Video) -> Masklets:
        """One masklet for each object that is given, in their order; an empty one of an object that is never seen."""
        session = self.sam3.open_tracking(video)
        given = [] if sample.given is None else sample.given()
        ids = [
            session.add_prompt(given_mask.frame, VisualPrompt(mask=decode_mask(given_mask.mask)))[0]
            for given_mask in given
        ]
        if not ids:
            return Masklets.empty(video.height, video.width, len(video))
        [found] = collect_masklets(session.propagate(), video, [""])
        by_id = dict(zip(found.ids, found.masklets, strict=True))
        return replace(found, ids=tuple(ids), masklets=tuple(by_id.get(id, Masklet((), (), (), 0.0)) for id in ids))


def _build_tracked(sample: Sample, found: Masklets, started: float) -> SampleResult:
    """Of what SAM 3 gave without a planner."""
    seconds = perf_counter() - started
    status: Status = "ok" if any(masklet.frames for masklet in found.masklets) else "no_mask"
    usage = Usage(seconds=seconds)
    return SampleResult(Prediction.from_masklets(sample.id, found, status, usage=usage, seconds=seconds))


def remove_presence_factor(found: Instances, threshold: float) -> Instances:
    """Scores as if the phrase were surely in the image; kept are those strictly above `threshold`."""
    scores = np.minimum(found.scores / max(found.presence, float(np.finfo(np.float32).tiny)), 1).astype(np.float32)
    return replace(found, scores=scores)[np.flatnonzero(scores > threshold)]
