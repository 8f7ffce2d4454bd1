"""The steps of a training, from wherever an earlier run of its folder stopped: advance, log, save."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from sam3_tool.training.optimization.log import log_steps


class Schedule(Protocol):
    """What a recipe says of its steps."""

    @property
    def out(self) -> Path: ...
    @property
    def steps(self) -> int: ...
    @property
    def log_every(self) -> int: ...
    @property
    def save_every(self) -> int: ...

    def compute_lr_share(self, step: int) -> float: ...


class Run(Protocol):
    """A network that learns."""

    step: int

    def advance(self) -> dict[str, float]: ...
    def save(self) -> None: ...


def make_steps(run: Run, schedule: Schedule, *, look: Callable[[], dict[str, float]] | None = None) -> None:
    """Make the steps that are left.

    Args:
        run: It goes on from its step, and is saved now and then and at the last step.
        schedule: How many steps there are, and how often they are logged and saved.
        look: Called before each step; what it returns goes into the log. Default: nothing.
    """
    recent: list[dict[str, float]] = []
    started, first = time.process_time(), run.step
    while run.step < schedule.steps:
        if look is not None:
            recent.append(look())
        recent.append(run.advance())
        if run.step % schedule.log_every == 0:
            seconds = (time.process_time() - started) / (run.step - first)
            rate = schedule.compute_lr_share(run.step - 1)
            log_steps(schedule.out, recent, step=run.step, seconds=seconds, rate=rate)
            recent = []
        if run.step % schedule.save_every == 0 or run.step == schedule.steps:
            run.save()
