"""A run: every stage after the one before, each going on where it stopped."""

from collections.abc import Iterator, Sequence
from time import time

from engine.phrases.coarse import build_parent_finder
from engine.project.ontologies import load_engine_ontology
from engine.project.stage_runs import MEASURED_STAGES, StageRun, add_stage_run
from engine.proposing import FIND_NO_PARENT
from engine.quality.refitting import refit_engine
from engine.stages.judging import JudgingStage, check_verifier
from engine.stages.masks import MasksStage
from engine.stages.media import MediaStage
from engine.stages.propose import ProposeStage
from engine.stages.stage import STAGE_NAMES, RunContext, Stage, StageName, StageReport
from engine.store.store import EngineStore
from engine.verifiers.inputs import add_mirrored_signals, add_signals


def build_stages(store: EngineStore) -> list[Stage]:
    """Make the stages of a run, in their order. Raises EngineError where the engine's ontology cannot be read."""
    ontology = load_engine_ontology(store)
    find_parent = FIND_NO_PARENT if ontology is None else build_parent_finder(ontology)
    masks = MasksStage(measure_signals=add_signals, measure_mirrored=add_mirrored_signals, find_parent=find_parent)
    return [MediaStage(), ProposeStage(), masks, JudgingStage("mv"), JudgingStage("ev")]


def run_stages(context: RunContext, stages: Sequence[Stage], *, until: StageName = "ev") -> Iterator[StageReport]:
    """Run stages one after the other, and yield what each of them did.

    Args:
        context: The store, and what the command line says.
        stages: In their order.
        until: The last one to run.

    Raises:
        UserError: A stage cannot go on. What is done is kept.
    """
    wanted = STAGE_NAMES[: STAGE_NAMES.index(until) + 1]
    if "mv" in wanted:
        check_verifier(context)
    for stage in stages:
        if stage.name in wanted:
            if stage.name == "mv" and until == "ev":
                refit_when_due(context)
            report = stage.run(context)
            keep_speed(context.store, report)
            yield report


def refit_when_due(context: RunContext) -> None:
    """Fit the verifier anew before it judges, where the option "refit" says so and it is due. Raises EngineError.

    A run that ends before coverage is judged leaves it to a later one: pairs that are opened again would stay open.
    """
    wanted = context.options.get("verifier") == "fitted" and context.options.get("refit")
    if wanted and not context.is_out_of_time() and (told := refit_engine(context.store)):
        context.on_note(told)


def keep_speed(store: EngineStore, report: StageReport) -> None:
    """Keep how fast a stage was, where it has done pairs and measured that. Raises EngineError."""
    if report.stage in MEASURED_STAGES and report.done > 0 and report.seconds > 0:
        run = StageRun(
            stage=report.stage,
            pairs=report.done,
            seconds=report.seconds,
            device=report.device,
            made_by=report.made_by,
            at=time(),
        )
        add_stage_run(store.database, run)
