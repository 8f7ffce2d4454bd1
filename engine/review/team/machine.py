"""How many hours are left for machines: pairs that wait for SAM 3 or a verifier, at the speed of the last run."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import ceil
from typing import Any

from engine.project.stage_runs import MEASURED_STAGES, StageRun, find_latest_stage_runs
from engine.review.team.estimate import format_hours
from engine.states import PairSummary, StatePolicy
from engine.store.files import count_files
from engine.store.store import EngineStore

TASKS = {"masks": "masks", "mv": "mask verification", "ev": "exhaustivity verification"}
"""What machines do in each stage."""


@dataclass
class MachinePairs:
    """Counts the pairs that machines have not done, as they pass by.

    >>> MachinePairs().count_open()
    {'masks': 0, 'mv': 0, 'ev': 0}
    """

    open: Counter[str] = field(default_factory=Counter)
    """By what they need next; of masks and coverage that somebody has judged already, nothing is left for a machine."""
    proposed: int = 0
    with_masks: int = 0
    """Of those that are proposed."""

    def add_pair(self, summary: PairSummary) -> None:
        """Count a pair."""
        decision = summary.decision
        self.proposed += bool(summary.made_by)
        self.with_masks += bool(summary.mask_count)
        who = " person" if decision.needs_person else ""
        self.open.update([f"{decision.needs}{who}"] if decision.needs else [])

    def count_open(self) -> dict[str, int]:
        """Return the pairs that each stage has still to do, by its name.

        What has no masks yet will have some as often as the others have, and goes through both verifications. Coverage
        is judged of every pair whose masks are not decided yet, also where people decide them.
        """
        masks = self.open["masks"]
        share = self.with_masks / self.proposed if self.proposed else 1.0
        coverage = masks + self.open["mv"] + self.open["mv person"] + self.open["ev"]
        return {"masks": masks, "mv": self.open["mv"] + ceil(share * masks), "ev": coverage}


@dataclass(frozen=True)
class MachineRest:
    """What is left for machines, and what that rests on.

    >>> MachineRest({"masks": 0, "mv": 0, "ev": 0}, {}).hours
    0.0
    """

    pairs: Mapping[str, int]
    """That each stage has still to do, by its name."""
    runs: Mapping[str, StageRun]
    """The last one of each stage, by its name; absent where none has ended here."""
    unread: int = 0
    """Images that are not read yet, whose pairs nobody has counted."""

    @property
    def unknown(self) -> tuple[str, ...]:
        """Stages with work left that no run has measured here."""
        return tuple(stage for stage in MEASURED_STAGES if self.pairs[stage] and stage not in self.runs)

    @property
    def measured(self) -> tuple[StageRun, ...]:
        """The runs that `hours` rests on, in the order of stages."""
        return tuple(self.runs[stage] for stage in MEASURED_STAGES if self.pairs[stage] and stage in self.runs)

    @property
    def hours(self) -> float | None:
        """Of the stages that a run has measured here; None where work is left and none of it was measured."""
        is_left = bool(self.unknown) or self.unread > 0
        if is_left and not self.measured:
            return None
        return sum(self.pairs[run.stage] / run.pairs_per_second for run in self.measured) / 3600

    def to_json(self) -> dict[str, Any]:
        """Convert to JSON values."""
        runs = {run.stage: {**run.model_dump(), "pairs_per_second": run.pairs_per_second} for run in self.measured}
        told = {"hours": self.hours, "pairs": dict(self.pairs), "unknown_stages": [*self.unknown]}
        return {**told, "measured": runs, "unread_images": self.unread}


def read_machine_rest(store: EngineStore, policy: StatePolicy) -> MachineRest:
    """Read what is left for machines; nothing is written.

    Args:
        store: The data engine.
        policy: What judgements are worth.

    Raises:
        EngineError: The store cannot be read.
    """
    pairs = MachinePairs()
    for summary in store.iterate_summaries(policy):
        pairs.add_pair(summary)
    return build_machine_rest(store, pairs)


def build_machine_rest(store: EngineStore, pairs: MachinePairs) -> MachineRest:
    """Return what is left for machines of pairs that were counted. Raises EngineError."""
    return MachineRest(pairs.count_open(), find_latest_stage_runs(store.database), count_files(store.database)[1])


def describe_machine_rest(rest: MachineRest) -> str:
    """Say how many hours are left for machines, and what that rests on.

    >>> run = StageRun(stage="masks", pairs=30, seconds=15.0, device="NVIDIA H200", made_by="tiny", at=0.0)
    >>> describe_machine_rest(MachineRest({"masks": 9000, "mv": 0, "ev": 0}, {"masks": run}))
    '1.2 h, from the last run on NVIDIA H200 (masks: 2 pairs a second over 30)'
    """
    hours = f"{format_hours(rest.hours)}, " if rest.measured and rest.hours is not None else ""
    return f"{hours}{describe_basis(rest)}"


def describe_basis(rest: MachineRest) -> str:
    """Say what the hours left for machines rest on.

    >>> describe_basis(MachineRest({"masks": 3, "mv": 0, "ev": 3}, {}))
    'not known yet: no run has ended here'
    >>> run = StageRun(stage="masks", pairs=30, seconds=15.0, device="NVIDIA H200", made_by="tiny", at=0.0)
    >>> describe_basis(MachineRest({"masks": 9, "mv": 0, "ev": 0}, {"masks": run}))
    'from the last run on NVIDIA H200 (masks: 2 pairs a second over 30)'
    """
    if not rest.unknown and not rest.measured and not rest.unread:
        return "no pair waits for a machine"
    parts = _list_measured(rest.measured)
    if not rest.runs:
        parts.append("not known yet: no run has ended here")
    elif rest.unknown:
        stages = " and ".join(TASKS[stage] for stage in rest.unknown)
        parts.append(f"not known yet for {stages}: no run has done any here")
    if rest.unread:
        parts.append(f"without the pairs of {rest.unread:,} images that are not read yet")
    return "; ".join(parts)


def _list_measured(runs: Iterable[StageRun]) -> list[str]:
    speeds: dict[str, list[str]] = {}
    for run in runs:
        speeds.setdefault(run.device, []).append(
            f"{TASKS[run.stage]}: {run.pairs_per_second:.3g} pairs a second over {run.pairs:,}"
        )
    return [f"from the last run on {device} ({', '.join(told)})" for device, told in speeds.items()]
