"""What a run is made with: planner and SAM 3 as the options say, and both in words for the manifest."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.load import caching, generation, load_planner, signed
from agent.options import Options
from agent.tools import TOOLS_OF
from agent.transcript import MadeBy
from evals.solver import Solver
from sam3_tool import Sam3
from sam3_tool.backends.checkpoint import fingerprint, locate

LOCAL = ("transformers", "vllm")
"""Planners whose model runs in this process."""


@dataclass(frozen=True, eq=False)
class Parts:
    solver: Solver
    made_by: MadeBy
    told: dict[str, Any]
    """Fields of the manifest."""


def assemble(
    options: Options, *, cache: Path | None, threshold: float, batch: int, now: Callable[[str], Any] = lambda text: None
) -> Parts:
    """Loads planner and SAM 3. `cache`: a folder for the replies of both; None = none is kept.

    `threshold`: of samples that go to SAM 3 directly. `batch`: most requests SAM 3 serves together. `now`: is told what
    is being loaded. Raises BadInput, PlannerError, CheckpointError or DeviceError, each with one line for the user.
    """
    asked_for = options.made_by()
    now(f"loading {options.planner}")
    planner = load_planner(options.planner, **options.for_planner(asked_for))
    made_by = signed(asked_for, planner)
    weights = _model_weights(options)
    told = {"made_by": made_by, "generation": {**generation(planner), **weights}, "threshold": threshold}
    if cache is not None:
        planner = caching(planner, cache, **weights)
    now(f"loading SAM 3 ({made_by.sam3})")
    sam3 = _sam3(options, made_by, cache, batch)
    told |= {"runs_on": sam3.runs_on, "batch": batch, "checkpoint": _weights(sam3, made_by)}
    return Parts(Solver(sam3, planner, TOOLS_OF[made_by.protocol], made_by.budget, threshold), made_by, told)


def _model_weights(options: Options) -> dict[str, str]:
    """The hash of a language model that lies in a folder: its name alone does not say which it is."""
    folder = Path(options.what).expanduser()
    return {"weights": fingerprint(folder)} if options.kind in LOCAL and folder.is_dir() else {}


def _sam3(options: Options, made_by: MadeBy, cache: Path | None, batch: int) -> Sam3:
    """The recorded one for a replay, unless another is asked for."""
    if options.recording and options.sam3 is None:
        return Sam3.replay(options.recording)
    return Sam3.load(made_by.sam3, device=options.device, cache=cache, max_batch=batch)


def _weights(sam3: Sam3, made_by: MadeBy) -> str:
    return fingerprint(locate(made_by.sam3)) if sam3.runs_on else ""
