"""A planner's opinion of one mask."""

from dataclasses import dataclass

from agent.core.usage import NO_COST, Usage


@dataclass(frozen=True)
class Verdict:
    """A planner says whether one mask belongs to the answer, how sure it is, and why.

    Example:
        >>> Verdict(3, accept=False, probability=0.1, reason="It is a bowl.").accept
        False
    """

    id: int
    accept: bool
    probability: float
    """In [0, 1]: that the mask belongs to the answer."""
    reason: str = ""
    usage: Usage = NO_COST
    """What this verdict cost; where one request gave several, the first carries it."""
