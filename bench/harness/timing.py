"""How every benchmark measures time: runs after one that warms up, of which the median and the spread are kept."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import torch

Input = TypeVar("Input")


@dataclass(frozen=True)
class Timing:
    """The median and the spread of several runs, in milliseconds."""

    median: float
    least: float
    most: float

    @classmethod
    def from_durations(cls, took: Sequence[float]) -> "Timing":
        return cls(statistics.median(took), min(took), max(took))

    @property
    def span(self) -> str:
        """The least and the most, in three digits.

        >>> Timing.from_durations([0.0123, 4.0, 250.5]).span
        '0.0123 to 250'
        """
        return " to ".join(
            f"{duration:.0f}" if duration >= 100 else f"{duration:.3g}" for duration in (self.least, self.most)
        )

    def __str__(self) -> str:
        return f"median {self.median:.1f} ms, min {self.least:.1f}, max {self.most:.1f}"


def time_runs(
    work: Callable[[int], object], *, runs: int = 15, clock: Callable[[], float] = time.perf_counter
) -> Timing:
    """Time `work`, which gets the number of the run. Run 0 warms up and does not count. `clock`: in seconds."""
    took = []
    for run in range(runs + 1):
        started = clock()
        work(run)
        took.append(1000 * (clock() - started))
    return Timing.from_durations(took[1:])


def time_alternatives(
    ways: Mapping[str, Callable[[Input], object]],
    prepare: Callable[[int], Input],
    device: "torch.device",
    *,
    rounds: int,
) -> dict[str, Timing]:
    """Time every way in turn, round after round, so that a busy moment of the machine hits all of them alike.

    Args:
        ways: Name -> the work of one way, which gets the round's input.
        prepare: Makes the input of a round from its number, before the clock runs. Round 0 warms up and does not count.
        device: What the work runs on.
        rounds: Rounds that count.

    Returns:
        Name -> the timing of each way.
    """
    took: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds + 1):
        given = prepare(number)
        for name, work in ways.items():
            took[name].append(1000 * measure_seconds(partial(work, given), device))
    return {name: Timing.from_durations(t[1:]) for name, t in took.items()}


def measure_seconds(work: Callable[[], object], device: "torch.device") -> float:
    """Return the seconds that `work` takes, as `read_clock` counts them."""
    started = read_clock(device)
    work()
    return read_clock(device) - started


def read_clock(device: "torch.device") -> float:
    """Return seconds: processor time on a CPU with one thread, else the clock's.

    Other programs disturb processor time least.
    """
    import torch

    if device.type == "cuda":
        torch.cuda.synchronize(device)
        return time.perf_counter()
    return time.process_time() if torch.get_num_threads() == 1 else time.perf_counter()
