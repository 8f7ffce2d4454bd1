"""`engine run`: read images, pair them with phrases, propose masks, have verifiers judge them."""

from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from agent.cli.options.path_parameters import path_argument
from agent.cli.terminal.console import Progress, report_user_errors, require_extra, show_progress
from agent.cli.terminal.streams import print_line, print_remark
from agent.core.errors import UsageError

if TYPE_CHECKING:
    from sam3_tool import Sam3

PROGRESS_INTERVAL = 60.0
"""Seconds between two lines of progress where stderr is no terminal."""
KEPT = "what is done is kept; the same command again goes on"


def run_engine(
    folder: Annotated[Path, path_argument(help="Folder of the data engine.")],
    sam3: Annotated[str, typer.Option(help="SAM 3: a name of `sam3-agent models`, or a path.")] = "tiny",
    device: Annotated[str, typer.Option(help="Where SAM 3 runs: cpu, cuda, mps, auto.")] = "auto",
    verifier: Annotated[
        str,
        typer.Option(help="Who judges: signals, fitted (after `engine fit`), openai:MODEL, recorded:FILE."),
    ] = "signals",
    until: Annotated[
        Literal["media", "propose", "masks", "mv", "ev"], typer.Option(help="The last stage to run.")
    ] = "ev",
    planner: Annotated[
        str | None, typer.Option(help="A language model that names phrases for each image, e.g. openai:NAME.")
    ] = None,
    base_url: Annotated[
        str | None, typer.Option(help="Address of the server of openai:NAME (default: that of OPENAI_BASE_URL).")
    ] = None,
    negatives: Annotated[
        int, typer.Option(min=0, max=100, help="Absent phrases to add to each image with verified masks.")
    ] = 0,
    mirrored: Annotated[
        bool,
        typer.Option(
            "--mirrored",
            help="Also look at each image mirrored, for signals that `engine fit` learns from: one more encode each.",
        ),
    ] = False,
    refit: Annotated[
        bool,
        typer.Option(
            "--refit/--no-refit",
            help="With --verifier fitted: fit it anew first, once people have labelled a fifth more, and 50 at least.",
        ),
    ] = True,
    budget_hours: Annotated[
        float | None, typer.Option(help="Begin nothing after so many hours; the next run goes on.")
    ] = None,
    retry_errors: Annotated[
        bool, typer.Option("--retry-errors", help="Read images again that could not be read.")
    ] = False,
) -> None:
    """Run every stage of the data engine in FOLDER: it goes on where it stopped, and does nothing twice.

    Other weights propose masks anew for all pairs that people have not finished.

    Exit codes: 0 done, also where images could not be read; 1 stopped by a failure; 2 bad usage or bad input; 130 and
    143 interrupted.
    """
    with report_user_errors(interrupted=KEPT), require_extra("parquet", "pyarrow"), show_progress() as display:
        from engine.stages.running import build_stages, run_stages
        from engine.stages.stage import RunContext
        from engine.store.files import reopen_errors
        from engine.store.store import EngineStore
        from engine.verifiers.keeping import load_policy

        deadline = parse_budget(budget_hours)
        with EngineStore.open(folder, task="work") as store:
            if retry_errors:
                display.print_note(f"{reopen_errors(store.database):,} images that could not be read are read again")
            context = RunContext(
                store=store,
                load_sam3=lambda: load_sam3(sam3, device, display),
                options={
                    **{"planner": planner, "base_url": base_url, "negatives": negatives},
                    **{"verifier": verifier, "mirrored": mirrored, "refit": refit},
                },
                policy=load_policy(store),
                on_note=display.print_note,
                on_progress=build_progress_printer(display),
                deadline=deadline,
            )
            for report in run_stages(context, build_stages(store), until=until):
                print_line(report.format_line())


def parse_budget(hours: float | None) -> float | None:
    """Return when a run ends, in seconds of `monotonic`. Raises UsageError."""
    if hours is None:
        return None
    if not 0 < hours < float("inf"):
        raise UsageError(f"--budget-hours takes a number above 0, e.g. 2.5, got {hours:g}")
    return monotonic() + 3600 * hours


def load_sam3(name: str, device: str, display: Progress) -> "Sam3":
    """Load SAM 3. Raises CheckpointError or DeviceError."""
    from sam3_tool import Sam3

    display.show_status(f"loading SAM 3 ({name})")
    return Sam3.load(name, device=device)


def build_progress_printer(display: Progress) -> Callable[[str], None]:
    """Tells how a stage is getting on: all the time at a terminal, else once a minute."""
    last_report = monotonic()

    def print_progress(text: str) -> None:
        nonlocal last_report
        if display.is_visible:
            display.show_status(text)
        elif monotonic() - last_report > PROGRESS_INTERVAL:
            last_report = monotonic()
            print_remark(text)

    return print_progress
