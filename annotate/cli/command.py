"""`sam3-agent annotate`: phrases or a query over any number of images, from the command line.

Whatever is slow to import is imported inside the function that needs it, so that `--help` answers at once.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Annotated, Any

import typer
import typer.core

from agent.cli.options import shared_options
from agent.cli.options.path_parameters import path_argument, path_option
from agent.cli.options.segment_options import Options, read_query
from agent.cli.terminal.console import (
    FAILURE,
    Progress,
    print_table,
    report_user_errors,
    require_extra,
    show_progress,
)
from agent.cli.terminal.streams import print_json, print_line, print_remark
from agent.core.errors import UsageError
from annotate.cli.options import (
    FormatsOption,
    OneFileOption,
    Reading,
    Running,
    reading_options,
    running_options,
)
from annotate.cli.status import describe_status, list_error_lines, to_status_json
from sam3_tool.system.file_names import escape_unprintable, sanitize_file_name

if TYPE_CHECKING:
    from annotate.job import Job
    from annotate.plan import Plan
    from annotate.progress import ProgressMeter
    from annotate.questions import Question
    from annotate.shards import Summary
    from annotate.sources.base import Listing

PROGRESS_INTERVAL = 60.0
"""Seconds between two lines of progress where stderr is no terminal."""
SHOWN_ERRORS = 20
"""Lines that `status` prints of them."""


class RunGroup(typer.core.TyperGroup):
    """Commands of which the first word may be left out: `annotate SOURCE` is `annotate run SOURCE`."""

    default_command = "run"

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put `run` before what names none of the commands."""
        if args and args[0] not in (*self.commands, "--help"):
            args = [self.default_command, *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=RunGroup,
    help="Ask the same about every image of a source: `annotate SOURCE`, which is `annotate run SOURCE`.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)


@app.command("run")
@shared_options.planning_options(without=("record", "frames", "ask_when_unsure"))
@running_options
@reading_options
def annotate_source(
    source: Annotated[
        Path,
        path_argument(
            help="A folder, a parquet file, tar archives (webdataset), a list of paths or URLs (.txt), or one image."
        ),
    ],
    options: Options,
    reading: Reading,
    running: Running,
    phrases: Annotated[
        str | None, typer.Option(help="A file with a phrase on each line, or phrases with commas: 'cat, dog'.")
    ] = None,
    query: Annotated[str | None, typer.Option(help="A query for the agent, in your own words.")] = None,
    out: Annotated[Path | None, path_option(help="Folder of the results (default: out/<name of SOURCE>).")] = None,
    to: FormatsOption = "parquet",
    one_file: OneFileOption = False,
) -> None:
    """Ask phrases or a query about every image of SOURCE; the same command again goes on where it stopped.

    Each shard of images is one parquet file, written whole or not at all. An image that cannot be answered is a row
    that says why, and so is one that ends its worker.

    Exit codes: 0 done, also with such rows; 1 stopped by a failure, or no image could be answered; 2 bad usage or bad
    input; 130 and 143 interrupted.
    """
    with report_errors("nothing was begun"), show_progress() as display:
        from annotate.exporting import parse_formats

        formats = parse_formats(to)
        question = build_question(options, phrases, query, running, reading.max_pixels)
        folder = out or Path("out", sanitize_file_name(source.stem))
        display.show_status(f"listing {source}")
        listing = open_listing(source, reading.to_json(), folder)
        for note in listing.notes:
            display.print_note(note)
        job = build_job(source, listing, question, folder, reading, running, display)
        job = replace(job, devices=running.choose_devices(options.device))
        summary, said = (
            run_job(job, formats, retry_errors=running.retry_errors, one_file=one_file, display=display)
            if reading.sample is None
            else forecast_job(job, reading.sample, display)
        )
    print_line(said)
    if summary.images and sum(summary.errors.values()) == summary.images:
        raise typer.Exit(FAILURE)


@app.command("status")
def print_status(
    out: Annotated[Path, path_argument(help="Folder of the results.")],
    errors: Annotated[bool, typer.Option("--errors", help="List every image that could not be answered.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the numbers as JSON, and nothing else.")] = False,
) -> None:
    """Say how far a run is, and which images could not be answered. Loads no network, and disturbs no run."""
    with report_errors("nothing was changed"):
        from annotate.plan import Plan
        from annotate.shards import ShardFolder

        plan, folder = Plan.load(out), ShardFolder(out)
        summary, done = folder.sum_up(), len(folder.find_done())
        if json:
            print_json(to_status_json(plan, summary, done))
            return
        print_table([("", *row) for row in describe_status(plan, summary, done)])
        for number, line in enumerate(list_error_lines(folder)):
            if number >= SHOWN_ERRORS and not errors:
                print_line(f"… and more; --errors lists all {sum(summary.errors.values()):,}")
                break
            print_line(line)


@app.command("export")
def export_results(
    out: Annotated[Path, path_argument(help="Folder of the results of a finished run.")],
    to: FormatsOption,
    one_file: OneFileOption = False,
) -> None:
    """Write the results of a finished run in further formats."""
    with report_errors("what was begun is not complete; run the same command again"), show_progress() as display:
        from annotate.exporting import parse_formats
        from annotate.plan import Plan
        from annotate.shards import ShardFolder
        from annotate.sources.base import Listing

        plan, formats = Plan.load(out), parse_formats(to)
        if open_shards := plan.shards - len(ShardFolder(out).find_done()):
            raise UsageError(f"{open_shards:,} of {plan.shards:,} shards in {out} are not done; let the run end first")
        needs_pixels = any(name not in ("parquet", "coco") for name in formats)
        listing = find_images_again(plan, out, to) if needs_pixels else Listing(None, ())
        said = write_exports(out, plan, listing, formats, one_file=one_file, display=display)
    print_line(said)


@contextmanager
def report_errors(interrupted: str | Callable[[], str]) -> Iterator[None]:
    """Report errors as every command does."""
    with report_user_errors(interrupted=interrupted), require_extra("parquet", "pyarrow"), require_extra("ray", "ray"):
        yield


def open_listing(source: Path, reading: Any, out: Path) -> "Listing":
    """List the images. Raises SourceError."""
    from annotate.sources.opening import SourceOptions, open_source

    return open_source(source, SourceOptions(**reading), out=out)


def find_images_again(plan: "Plan", out: Path, to: str) -> "Listing":
    """List the images of a run that is done. Raises UsageError where they are not there any more."""
    from annotate.errors import SourceError

    try:
        listing = open_listing(Path(plan.source), plan.reading, out)
    except SourceError as error:
        raise UsageError(
            f"the images of {out} are not in {plan.source} any more, and {to} needs them; where they were moved, run"
            f" `annotate` with their new place, --out {out} --to {to}, and all else as before: no image is asked again"
        ) from error
    if listing.digest != plan.listing:
        raise UsageError(f"{plan.source} holds other images than when {out} was made, and {to} needs them")
    return listing


def build_question(
    options: Options, phrases: str | None, query: str | None, running: Running, max_pixels: int | None
) -> "Question":
    """What is asked. Raises UsageError unless it is either phrases or a query."""
    from annotate.questions import ask_phrases, ask_query, read_phrases

    if (phrases is None) == (query is None):
        raise UsageError("say what to find: either --phrases FILE, --phrases 'cat, dog', or --query 'the cat that …'")
    if query is not None:
        asked = read_query(query)
        return ask_query(options, asked, batch=running.batch, episodes=running.episodes, max_pixels=max_pixels)
    if options.planner != "grammar":
        raise UsageError("--phrases go to SAM 3 alone; --planner is for --query")
    return ask_phrases(options, read_phrases(phrases or ""), batch=running.batch, max_pixels=max_pixels)


def build_job(
    source: Path,
    listing: "Listing",
    question: "Question",
    out: Path,
    reading: Reading,
    running: Running,
    display: Progress,
) -> "Job":
    """Everything about a run but the devices of its workers."""
    from annotate.job import Job
    from annotate.plan import Plan, choose_shard_size
    from annotate.workers.worker import WorkerSetup

    plan = Plan(
        source=str(source.absolute()),
        listing=listing.digest,
        images=len(listing),
        shard=running.shard or choose_shard_size(len(listing), question.phrases),
        question=question.asked,
        options=question.options,
        reading=reading.to_json(),
        notes=listing.notes,
    )
    ahead = 2 * max(1, running.batch // question.phrases)
    return Job(
        plan=plan,
        listing=listing,
        out=out,
        setup=WorkerSetup(out, listing.reader, question.build_asker, ahead, plan.hash),
        on_note=display.print_note,
        on_progress=build_progress_callback(display),
        place=running.on,
        share=running.part,
        stall=running.stall,
    )


def build_progress_callback(display: Progress) -> "Callable[[ProgressMeter], None]":
    """Tells how the run is getting on: all the time at a terminal, else once a minute."""
    last_report = monotonic()

    def report_progress(meter: "ProgressMeter") -> None:
        nonlocal last_report
        if display.is_visible:
            display.show_status(meter.format_line())
        elif monotonic() - last_report > PROGRESS_INTERVAL:
            last_report = monotonic()
            print_remark(meter.format_line())

    return report_progress


def run_job(
    job: "Job", formats: Sequence[str], *, retry_errors: bool, one_file: bool, display: Progress
) -> "tuple[Summary, str]":
    """Bring every shard to its end, and write the formats; what an interruption leaves behind is said.

    Returns what there is, and what is to be said of it.
    """
    from annotate.shards import remove_empty_folders

    made = job.prepare_folder()
    if retry_errors:
        display.print_note(f"{job.reopen_errors():,} images that could not be answered are asked again")
    if before := job.build_meter().done:
        display.print_note(f"{before:,} of {job.plan.images:,} images in {job.out} are done, and are not asked again")
    with report_errors(lambda: describe_rest(job)):
        try:
            job.run()
        finally:
            remove_empty_folders(made)
    summary = job.sum_up()
    if left := job.plan.shards - len(job.folder.find_done()):
        others = f"{left:,} of {job.plan.shards:,} shards are those of other machines"
        return summary, f"{escape_unprintable(str(job.out))}: this share is done; {others}"
    with report_errors("the results are complete; the formats are not: run the same command again"):
        written = write_exports(job.out, job.plan, job.listing, formats, one_file=one_file, display=display)
    return summary, f"{format_summary(summary)}; {written}"


def describe_rest(job: "Job") -> str:
    """What an interrupted run leaves behind."""
    if not (done := job.build_meter().done):
        return f"none of the {job.plan.images:,} images is done; the same command begins anew"
    return f"{done:,} of {job.plan.images:,} images are done and in {job.out}; the same command again goes on"


def write_exports(
    out: Path, plan: "Plan", listing: "Listing", formats: Sequence[str], *, one_file: bool, display: Progress
) -> str:
    """Write every format; say where they are."""
    from agent.core.errors import InterruptedOutputError
    from annotate.exporting import ExportJob
    from annotate.job import raise_output_errors
    from annotate.shards import ShardFolder

    export = ExportJob(ShardFolder(out), plan, listing, display.show_status, one_file, on_note=display.print_note)
    with raise_output_errors(out, InterruptedOutputError):
        paths = export.write_formats(formats)
    return f"{escape_unprintable(str(out))}: {', '.join(path.name for path in paths)}"


def format_summary(summary: "Summary") -> str:
    """What was found, in a few words."""
    from annotate.progress import format_errors

    counts = [
        f"{number:,} {name}{'' if number == 1 else 's'}"
        for number, name in ((summary.images, "image"), (summary.masks, "mask"))
    ]
    return ", ".join([*counts, *format_errors(summary.errors)])


def forecast_job(job: "Job", share: float, display: Progress) -> "tuple[Summary, str]":
    """Ask a part of the images; return what was found, and what all of them will take, in words."""
    from annotate.forecast import forecast_run

    if not 0 < share <= 1:
        raise UsageError(f"--sample takes a share above 0 and up to 1, e.g. 0.01, got {share:g}")
    display.show_status("asking a sample")
    forecast = forecast_run(job, share)
    return forecast.sample, forecast.format_lines()
