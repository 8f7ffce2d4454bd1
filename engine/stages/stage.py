"""What every stage of a run is, and what it gets."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from time import monotonic
from typing import Any, Literal, Protocol

from annotate.progress import ProgressMeter
from engine.states import StatePolicy
from engine.store.store import EngineStore
from sam3_tool.sam3 import Sam3

StageName = Literal["media", "propose", "masks", "mv", "ev"]
STAGE_NAMES: tuple[StageName, ...] = ("media", "propose", "masks", "mv", "ev")


def _ignore_text(text: str) -> None:
    pass


@dataclass(frozen=True, kw_only=True, eq=False)
class RunContext:
    """What a run has for its stages.

    >>> RunContext(store=None, load_sam3=None).is_out_of_time()
    False
    """

    store: EngineStore
    load_sam3: Callable[[], Sam3]
    """Loads SAM 3; `sam3` calls it once, when the first stage needs it."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """What the command line says to single stages, by the option's name, e.g. "planner" and "verifier"."""
    policy: StatePolicy = field(default_factory=StatePolicy)
    on_note: Callable[[str], Any] = _ignore_text
    """Is told, in a sentence each, what a person should know."""
    on_progress: Callable[[str], Any] = _ignore_text
    """Is told how a stage is getting on."""
    deadline: float | None = None
    """In seconds of `time.monotonic()`: what has not begun by then waits for the next run."""

    @cached_property
    def sam3(self) -> Sam3:
        """SAM 3, loaded when the first stage needs it."""
        return self.load_sam3()

    @cached_property
    def loaded(self) -> dict[str, Any]:
        """What one stage has loaded and a later one needs again, by name."""
        return {}

    def is_out_of_time(self) -> bool:
        """Whether no more work may begin."""
        return self.deadline is not None and monotonic() >= self.deadline

    def report_progress(self, stage: StageName, meter: ProgressMeter) -> None:
        """Tell how a stage is getting on."""
        self.on_progress(f"{stage}: {meter.format_line()}")


@dataclass(frozen=True)
class StageReport:
    """What a stage did.

    >>> StageReport("masks", done=3, what="pairs proposed").format_line()
    'masks: 3 pairs proposed'
    >>> StageReport("masks", done=1, what="pairs proposed").format_line()
    'masks: 1 pair proposed'
    """

    stage: StageName
    done: int = 0
    """Of what `what` says."""
    what: str = ""
    """What was done, of several: 'pairs proposed'."""
    left: int = 0
    """That wait for the next run: time was over."""
    errors: int = 0
    """That could not be done, each told in a note and kept."""
    seconds: float = 0.0
    """That the work took, without loading what does it; 0 where they are not measured."""
    device: str = ""
    """What did the work, as in `StageRun`."""
    made_by: str = ""
    """As in `StageRun`."""

    def format_line(self) -> str:
        """Say it in one line."""
        what = re.sub(r"s\b", "", self.what, count=1) if self.done == 1 else self.what
        words = [f"{self.done:,} {what}"]
        words += [f"{self.left:,} left for the next run"] if self.left else []
        words += [f"{self.errors:,} could not be done"] if self.errors else []
        return f"{self.stage}: {', '.join(words)}"


class Stage(Protocol):
    """One step of a run. It finds out by itself what is to be done, so that a run can stop anywhere and go on."""

    @property
    def name(self) -> StageName:
        """Its name, for `--until` and for reports."""
        ...

    def run(self, context: RunContext) -> StageReport:
        """Do all that is open, until time is over; keep what is done as it goes.

        Args:
            context: The store, and what the command line says.

        Returns:
            What was done; nothing where nothing was open.

        Raises:
            UserError: It cannot go on. What is done is kept.
            KeyboardInterrupt: Somebody wants the run to end. What is done is kept.
        """
        ...
