"""The parts of a run: a planner and SAM 3, and both in words for the manifest."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.cli.loading import load_sam3
from agent.core.budget import DEFAULT_BUDGET, Budget
from agent.core.planner import Planner
from agent.planners.loading import generation_settings, load_planner, with_model_info, wrap_caching
from agent.records.provenance import Provenance
from evals.runs.solver import Solver
from sam3_tool import Sam3
from sam3_tool.backends.transformers.files.checkpoint import hash_checkpoint
from sam3_tool.system.paths import expand_path, is_folder

if TYPE_CHECKING:
    from agent.cli.options.segment_options import Options

LOCAL_PLANNERS = ("transformers", "vllm")
"""Planners whose model runs in this process."""


@dataclass(frozen=True, eq=False)
class RunComponents:
    """The planner and the SAM 3 that answer the samples of a run."""

    solver: Solver
    made_by: Provenance
    manifest_fields: dict[str, Any]
    """The fields of the manifest about planner and SAM 3."""


def describe_components(
    planner: Planner, sam3: Sam3, *, budget: Budget = DEFAULT_BUDGET, threshold: float = 0.5
) -> RunComponents:
    """Describe a planner and a SAM 3 that are there already.

    `threshold`: of samples that go to SAM 3 directly. A planner has the name that its attribute `name` gives it, else
    that of its class.
    """
    name = str(getattr(planner, "name", type(planner).__name__))
    made_by = with_model_info(Provenance(planner=name, sam3=sam3.name, toolset=planner.toolset, budget=budget), planner)
    manifest_fields = {
        "made_by": made_by,
        "generation": generation_settings(planner),
        "threshold": threshold,
        "runs_on": sam3.runs_on,
        "checkpoint": sam3.fingerprint,
    }
    return RunComponents(Solver(sam3, planner, budget, threshold), made_by, manifest_fields)


def assemble_components(
    options: "Options",
    *,
    cache: Path | None,
    threshold: float,
    batch: int,
    on_progress: Callable[[str], Any] = lambda text: None,
) -> RunComponents:
    """Load planner and SAM 3 as the command line asks. `cache`: a folder for the replies of both; None = none is kept.

    `threshold`: of samples that go to SAM 3 directly. `batch`: most requests SAM 3 serves together. `on_progress`: is
    told what is being loaded. Raises UsageError, PlannerError, CheckpointError or DeviceError, each with one line for
    the user, or ConceptError.
    """
    asked_for = options.build_provenance()
    on_progress(f"loading {options.planner}")
    planner = load_planner(options.planner, **options.to_planner_options(asked_for))
    made_by = with_model_info(asked_for, planner)
    weights = _fingerprint_model(options)
    manifest_fields = {
        "made_by": made_by,
        "generation": {**generation_settings(planner), **weights},
        "threshold": threshold,
    }
    if cache is not None:
        planner = wrap_caching(planner, cache, **weights)
    on_progress(f"loading SAM 3 ({made_by.sam3})")
    sam3 = load_sam3(options, made_by, cache=cache, max_batch=batch)
    manifest_fields |= {"runs_on": sam3.runs_on, "batch": batch, "checkpoint": sam3.fingerprint}
    return RunComponents(Solver(sam3, planner, made_by.budget, threshold, made_by.doubt), made_by, manifest_fields)


def _fingerprint_model(options: "Options") -> dict[str, str]:
    """The hash of a language model that lies in a folder: its name alone does not say which it is."""
    if options.planner_kind not in LOCAL_PLANNERS:
        return {}
    folder = expand_path(options.planner_spec)
    return {"weights": hash_checkpoint(folder)} if is_folder(folder) else {}
