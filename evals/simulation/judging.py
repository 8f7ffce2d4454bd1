"""How a simulated model judges masks: evidence with noise, about a query that it may misunderstand."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from math import exp

from agent.core.workspace import Candidate
from evals.simulation.chance import CorrelatedChance
from evals.simulation.profile import Profile
from evals.simulation.request import Request
from evals.simulation.truth import Meaning

GOOD_FIT, HALF_FIT = 0.85, 0.5
"""IoU with what is meant from which a mask counts as perfect, and at which there is nothing to choose by."""


@dataclass(frozen=True, eq=False)
class Judge:
    """A simulated model that looks at one request."""

    request: Request
    profile: Profile
    chance: CorrelatedChance

    @cached_property
    def meaning(self) -> Meaning:
        """The objects that it takes the query to mean, this time."""
        return self.understand_query(self.request.asking)

    def understand_query(self, asking: str) -> Meaning:
        """Take the query to mean something, once more."""
        truth = self.request.truth
        is_misread = self.chance.has_lapse(self.profile.get_threshold("reading"), f"{truth.key}|reading", asking)
        return truth.decoy if is_misread else truth.targets

    @property
    def wants_one(self) -> bool:
        """Whether it takes the query to mean one object."""
        return len(self.meaning) == 1

    def has_lapse(self, kind: str) -> bool:
        """Whether an error of a kind that has a threshold happens in this request."""
        subject = f"{self.request.truth.key}|{kind}"
        return self.chance.has_lapse(self.profile.get_threshold(kind), subject, self.request.asking)

    def weigh_mask(self, number: int) -> float:
        """Weigh the evidence that a mask belongs to the answer, in standard deviations; above 0 speaks for it."""
        candidate = self.request.find_candidate(number)
        return 0.0 if candidate is None else self.weigh_candidate(candidate, self.request.measure_clarity(number))

    def weigh_candidate(self, candidate: Candidate, clarity: float) -> float:
        """Weigh a mask that is seen this clearly, in [0, 1]."""
        truth = self.request.truth
        fit = truth.measure_fit(candidate.rle, self.meaning)
        lean = min(max((fit - HALF_FIT) / (GOOD_FIT - HALF_FIT), -1.0), 1.0)
        shown = truth.find_object(candidate.rle)
        noise = self.chance.draw_normal(f"{truth.key}|object {shown}", self.request.asking)
        return self.profile.keenness * clarity * lean + noise

    def state_probability(self, number: int) -> float:
        """The probability that it states: what its evidence tells, made too extreme or too timid."""
        strength = 2 * self.profile.keenness * self.request.measure_clarity(number)
        return to_probability(strength * self.weigh_mask(number) / self.profile.temperature)

    def choose_numbers(self) -> list[int]:
        """Choose among the masks that are drawn over the whole image, and read off their numbers."""
        current = self.request.current
        if current is None:
            return []
        evidence = {number: self.weigh_mask(number) for number in current.numbers}
        return [self._misread_number(number) for number in self.pick_best(evidence)]

    def pick_best(self, evidence: Mapping[int, float]) -> list[int]:
        """Pick the best one, or all that the evidence speaks for; none where it speaks for none."""
        accepted = [number for number, weight in evidence.items() if weight > 0]
        return [max(accepted, key=lambda number: evidence[number])] if accepted and self.wants_one else accepted

    def _misread_number(self, number: int) -> int:
        """Another number where this one is read off wrongly: that of the mask listed next to it."""
        current = self.request.current
        if current is None or len(current.numbers) < 2:
            return number
        crowd = 0.06 * (len(current.numbers) - 2) + 0.8 * (1 - self.request.measure_clarity(number))
        threshold = self.profile.get_threshold("misread_number") + crowd
        if not self.chance.has_lapse(threshold, f"{self.request.truth.key}|number {number}", self.request.asking):
            return number
        return current.numbers[(current.numbers.index(number) + 1) % len(current.numbers)]


def to_probability(logit: float) -> float:
    """Turn a logit into a probability, within 0.001 and 0.999, and to three digits as a model would write it.

    >>> to_probability(0.0), to_probability(99)
    (0.5, 0.999)
    """
    return round(min(max(1 / (1 + exp(-max(min(logit, 30.0), -30.0))), 0.001), 0.999), 3)
