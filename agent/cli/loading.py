"""Planner and SAM 3 as the command line asks for them, and the garbage collector's part in a quick start."""

import gc
from typing import TYPE_CHECKING, Any, TypeAlias

from agent.cli.concepts.files import apply_concepts, load_concepts
from agent.cli.options.segment_options import Options
from agent.cli.terminal.console import Progress
from agent.cli.terminal.streams import print_remark

if TYPE_CHECKING:
    from agent.core.planner import Planner
    from agent.records.provenance import Provenance
    from sam3_tool import Sam3


Models: TypeAlias = "tuple[Planner, Sam3, Provenance]"

REFIT_ADVICE = (
    "masks have no probability until `python -m evals.studies.calibration --sam3 FOLDER` fits it again, or the file of"
    " these weights is put back"
)


def load_models(options: Options, progress: Progress) -> Models:
    """Load the planner and SAM 3, and say what files call them. Raises UserError for what cannot be loaded."""
    from agent.planners.loading import load_planner, with_model_info, wrap_recording

    provenance = options.build_provenance()
    progress.show_status(f"loading {options.planner}")
    planner_options = options.to_planner_options(provenance)
    planner = load_planner(options.planner, **planner_options)
    provenance = with_model_info(provenance, planner)
    progress.print_line(_format_header(provenance))
    print_warnings(provenance)
    progress.show_status(f"loading SAM 3 ({provenance.sam3})")
    sam3 = load_sam3(options, provenance)
    if options.record is not None:
        planner = wrap_recording(planner, provenance, options.record, **planner_options)
    freeze_and_enable_gc()
    return planner, sam3, provenance


def load_sam3(options: Options, provenance: "Provenance", **settings: Any) -> "Sam3":
    """The recorded one for a replay, unless another is asked for.

    `settings`: arguments of `Sam3.load` that no option stands for.
    """
    from sam3_tool import Sam3

    if options.recording_folder and options.sam3 is None:
        sam3 = Sam3.replay(options.recording_folder)
    else:
        sam3 = Sam3.load(provenance.sam3, device=options.device, record=options.record, **settings)
    if sam3.calibration_fault:
        print_remark(f"warning: {sam3.calibration_fault}; {REFIT_ADVICE}")
    sam3 = apply_concepts(sam3, load_concepts(options.concept or ()))
    if provenance.doubt.is_active:
        from agent.doubt.calibration import check_calibration  # loads OpenCV

        check_calibration(sam3, provenance.doubt)
    return sam3


def _format_header(provenance: "Provenance") -> str:
    """Who plans, in one line."""
    capabilities = f"; {provenance.capabilities}" if provenance.capabilities else ""
    return f"{provenance.planner}, {provenance.toolset.name} toolset{capabilities}"


def print_warnings(provenance: "Provenance") -> None:
    """Say on stderr what a user must know of answers that are made so, whoever reads stdout."""
    for warning in provenance.warnings:
        print_remark(f"warning: {warning}")


def freeze_and_enable_gc() -> None:
    """Let the collector run again, but never over what was imported and loaded: a million objects that stay."""
    if not gc.isenabled():
        gc.freeze()
        gc.enable()
