"""How every benchmark here measures: many runs after one that warms up; the median counts, the spread is told."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Timing:
    """Milliseconds."""

    median: float
    least: float
    most: float

    def __str__(self) -> str:
        return f"median {self.median:.1f} ms, min {self.least:.1f}, max {self.most:.1f}"


def timed(work: Callable[[int], object], *, runs: int = 15, clock: Callable[[], float] = time.perf_counter) -> Timing:
    """`work` gets the number of the run, 0 to `runs`; run 0 warms up and does not count. `clock`: in seconds."""
    took = []
    for run in range(runs + 1):
        started = clock()
        work(run)
        took.append(1000 * (clock() - started))
    return Timing(statistics.median(took[1:]), min(took[1:]), max(took[1:]))
