"""How a run is getting on, in one line: done, rate, time left, errors by kind."""

from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from time import monotonic

from agent.core.text.english import format_duration

WINDOW = 60.0
"""Seconds that the rate is taken over."""


@dataclass
class ProgressMeter:
    """Counts images as they are done. For one thread.

    >>> times = iter([0.0, 10.0, 10.0])
    >>> meter = ProgressMeter(total=100, done=20, clock=lambda: next(times))
    >>> meter.add_images(40, {"ImageError": 1})
    >>> meter.format_line()
    '60 of 100 images (60 %), 4 a second, 10 s left, 1 error (1 ImageError)'
    """

    total: int
    done: int
    """Of earlier runs, at first."""
    errors: Counter[str] = field(default_factory=Counter)
    gpus: int = 0
    """That are at work."""
    cost: float = 0.0
    """Of language models, with that of earlier runs."""
    clock: Callable[[], float] = monotonic
    _began: float = field(init=False)
    _samples: deque[tuple[float, int]] = field(init=False)
    """Times, and how many were done then: those of the last minute, and the one before."""

    def __post_init__(self) -> None:
        self._began = self.clock()
        self._samples = deque([(self._began, self.done)])

    def restart_clock(self) -> None:
        """Take the rate from now on: what was loaded until now is loaded."""
        self._samples = deque([(self.clock(), self.done)])

    def add_images(self, images: int, errors: Mapping[str, int], cost: float = 0.0) -> None:
        """Count images that were answered."""
        self.done += images
        self.cost += cost
        self.errors.update(errors)
        now = self.clock()
        self._samples.append((now, self.done))
        while len(self._samples) > 2 and now - self._samples[1][0] > WINDOW:
            self._samples.popleft()

    @property
    def rate(self) -> float:
        """Images a second over the last minute; 0 while it is not known."""
        began, first = self._samples[0]
        seconds = self.clock() - began
        return (self.done - first) / seconds if seconds > 0 else 0.0

    def format_line(self) -> str:
        """Say how the run stands, for people."""
        rate, share = self.rate, 100 * self.done // max(1, self.total)
        pace = [f"{rate:.3g} a second", f"{format_duration((self.total - self.done) / rate)} left"] if rate else []
        hours = self.gpus * (self.clock() - self._began) / 3600 if self.gpus else 0.0
        spent = [f"{hours:.3g} GPU hours"] if self.gpus else []
        spent += [f"a cost of {self.cost:.4g}"] if self.cost else []
        done = f"{self.done:,} of {self.total:,} images ({share} %)"
        return ", ".join([done, *pace, *spent, *format_errors(self.errors)])


def format_errors(errors: Mapping[str, int]) -> list[str]:
    """Say how many errors there are, and of which kinds; nothing where there is none.

    >>> format_errors({"ImageError": 4, "WorkerDeath": 1})
    ['5 errors (4 ImageError, 1 WorkerDeath)']
    """
    number = sum(errors.values())
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in sorted(errors.items(), key=lambda pair: -pair[1]) if count)
    return [f"{number:,} error{'' if number == 1 else 's'} ({kinds})"] if number else []


def format_bytes(number: float) -> str:
    """Format a number of bytes in the unit that a reader needs.

    >>> format_bytes(900), format_bytes(3_400_000), format_bytes(2.5e10)
    ('900 B', '3.4 MB', '25 GB')
    """
    for size, unit in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if number >= size:
            return f"{number / size:.3g} {unit}"
    return f"{number:.0f} B"
