"""How often a simulated model errs: one number is fitted for each profile, all others are assumed."""

import json
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

PROFILES_PATH = Path(__file__).with_name("profiles.json")


@dataclass(frozen=True)
class Profile:
    """How often a simulated model errs, before its skill is taken off.

    An error of a kind happens with the normal probability below (its threshold - skill). A mask is judged by evidence
    with the mean +-(acuity + skill) and the standard deviation 1, less where it is shown small, or fits by half.

    Example:
        >>> Profile("nobody").with_skill(1.0).get_threshold("reading")
        -1.9
    """

    name: str
    skill: float = 0.0
    """Fitted: the published protocol then has the published gIoU."""
    correlation: float = 0.7
    """In [0, 1], of the errors in two ways of asking about the same."""
    acuity: float = 1.3
    """Standard deviations between the evidence and its threshold, for a perfect mask of endless size."""
    reading: float = -0.9
    """Threshold of taking the query to mean other objects."""
    phrase: float = -0.35
    """Of a phrase that is too general, too special, a synonym or wrong."""
    misread_number: float = -1.7
    """Of naming the neighbour's number, for one large mask; small and crowded masks add to it."""
    surrender: float = -2.0
    """Of giving up."""
    malformed: float = -1.8
    """Of a reply without a call."""
    box: float = 0.12
    """Standard deviation of the edges of a box that it writes, as a share of the object's side."""
    temperature: float = 0.5
    """Of stated probabilities: below 1 they are too extreme, above it too timid."""

    def get_threshold(self, kind: str) -> float:
        """Return the threshold of a kind of error, e.g. 'reading', at this skill."""
        return round(float(getattr(self, kind)) - self.skill, 9)

    @property
    def keenness(self) -> float:
        """Mean evidence, in standard deviations, for a perfect mask of endless size."""
        return max(self.acuity + self.skill, 0.05)

    def with_skill(self, skill: float) -> "Profile":
        """Change the number that is fitted."""
        return replace(self, skill=skill)


@cache
def load_profiles() -> dict[str, Profile]:
    """Load the fitted profiles, by name.

    >>> sorted(load_profiles())
    ['72B', '7B', 'frontier']
    """
    found = json.loads(PROFILES_PATH.read_text("utf-8"))["profiles"]
    return {entry["name"]: Profile(entry["name"], entry["skill"]) for entry in found}
