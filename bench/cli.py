"""`sam3-agent bench`: what everything costs, beside what a user would run otherwise.

Slow imports stand inside the functions that need them, so that `--help` answers at once.
"""

import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agent.cli.options.path_parameters import path_option
from agent.cli.terminal.console import FAILURE, report_user_errors, require_extra
from agent.cli.terminal.streams import print_line, print_remark
from agent.core.errors import UsageError

if TYPE_CHECKING:
    from bench.harness.tables import Table

app = typer.Typer(
    help="Measure what everything costs on this machine, beside what you would run otherwise.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)

BASELINES = ("published", "transformers", "float32")
"""The last is transformers with the format that it loads by itself; the others get the format of ours."""
TABLES = ("parts", "calls", "first-mask", "phrases", "pictures", "episode", "memory")
SERVE_TABLES = ("batching", "own-cost", "clients", "first-mask", "overload", "shutdown", "processes")
SUITES = {
    "agent": ("agent.overhead", "agent.toolsets"),
    "eval": ("agent.evaluation",),
    "demo": ("demo",),
    "review": ("annotation.review",),
}
"""Command -> modules of `bench.suites` whose `main` it runs, each in a process of its own."""
OutputFolder = Annotated[
    Path | None, path_option(help="Also write each table into this folder: JSON, Markdown, a plot.")
]
NetworkSize = Annotated[str, typer.Option(help="tiny, full (random weights), or anything that --sam3 takes.")]
Device = Annotated[str, typer.Option(help="cpu, cuda, cuda:1, mps …")]
Threads = Annotated[int, typer.Option(min=1, help="Threads of the processor. One is measured in processor time.")]
Rounds = Annotated[int, typer.Option(min=1, help="Rounds that count; one more comes first.")]
Baselines = Annotated[str, typer.Option(help=f"Compare with these too, with commas: {', '.join(BASELINES)}.")]
Counts = Annotated[str, typer.Option(help="Whole numbers, with commas.")]


@app.command("sam3")
def run_sam3(
    size: NetworkSize = "tiny",
    device: Device = "cpu",
    against: Baselines = "published,transformers",
    phrases: Counts = "1,2,4,8,16",
    pictures: Counts = "1,4,16",
    tables: Annotated[str, typer.Option(help="Only these, with commas.")] = ",".join(TABLES),
    threads: Threads = 1,
    rounds: Rounds = 5,
    compile: Annotated[
        str | None, typer.Option(help="Ours compiled: default, reduce-overhead (CUDA graphs) or max-autotune.")
    ] = None,
    out: OutputFolder = None,
) -> None:
    """Measure SAM 3 part by part, and phrases and images beside the published way and documented transformers."""
    with _report_errors():
        counts = _parse_numbers(phrases), _parse_numbers(pictures)
        chosen = _parse_names(against, BASELINES, "--against"), _parse_names(tables, TABLES, "--tables")
        from bench.harness.workload import Workload
        from bench.suites.sam3 import measure_sam3
        from sam3_tool.backends.transformers.hardware.compile import COMPILE_MODES

        if compile is not None and compile not in COMPILE_MODES:
            raise UsageError(f"--compile takes one of {', '.join(COMPILE_MODES)}, got {compile!r}")
        _print_tables(measure_sam3(Workload(size, device, threads, rounds, *counts, *chosen, compile)), out)


@app.command("masks")
def run_masks(numbers: Counts = "10,30,100", rounds: Rounds = 3, out: OutputFolder = None) -> None:
    """Measure overlaps, drawing and upsampling of masks beside the published way, and their memory."""
    with _report_errors():
        counts = _parse_numbers(numbers)
        from bench.suites.masks import measure_masks

        _print_tables(measure_masks(counts, rounds=rounds), out)


@app.command("tracking")
def run_tracking(
    sam3: Annotated[str, typer.Option(help="Anything that --sam3 takes, if it can follow objects.")] = "tiny",
    tracks: Counts = "1,4,16",
    frames: Annotated[int, typer.Option(min=8, help="Frames of each video. Memory stays flat however many.")] = 40,
    device: Device = "cpu",
    out: OutputFolder = None,
) -> None:
    """Measure what a frame of a video costs by the number of tracks, and what is remembered of them."""
    with _report_errors():
        counts = _parse_numbers(tracks)
        from bench.suites.videos.tracking import measure_tracking

        _print_tables(measure_tracking(sam3, tracks=counts, frames=frames, device=device), out)


@app.command("start")
def run_start(rounds: Rounds = 5, out: OutputFolder = None) -> None:
    """Measure the time from a cold process to help, to an import, to an answer."""
    with _report_errors():
        from bench.suites.start import measure_start

        _print_tables(measure_start(rounds=rounds), out)


@app.command("load")
def run_load(
    dtypes: Annotated[str, typer.Option(help="In which formats, with commas.")] = "float32,bfloat16",
    folder: Annotated[Path | None, path_option(help="Write the files here and keep them: 7 GB.")] = None,
    out: OutputFolder = None,
) -> None:
    """Measure time and memory of loading SAM 3 of the published size, from sam3.pt and from transformers' folder."""
    with _report_errors():
        from bench.suites.weights.measuring import DTYPES, measure_load

        _print_tables(measure_load(dtypes=_parse_names(dtypes, DTYPES, "--dtypes"), folder=folder), out)


@app.command("mcp")
def run_mcp(rounds: Rounds = 100, out: OutputFolder = None) -> None:
    """Measure what the Model Context Protocol adds to a call in process, over stdio and over HTTP."""
    with _report_errors(), require_extra("mcp", "mcp", "mcp_types", "uvicorn"):
        from bench.suites.assistants.protocol import measure_mcp

        _print_tables(measure_mcp(rounds=rounds), out)


@app.command("growth")
def run_growth(out: OutputFolder = None) -> None:
    """Measure how fast time and memory grow with masks, holes, megapixels, frames, phrases, episodes and samples."""
    with _report_errors():
        from bench.suites.growth import measure_growth

        _print_tables(measure_growth(), out)


@app.command("annotate")
def run_annotation(
    growth: Counts = "100,10000,1000000",
    files: Annotated[int, typer.Option(min=1, help="JPEG files for the cost with decoding.")] = 2000,
    workers: Counts = "1,2,4,8",
    real: Annotated[int, typer.Option(min=1, help="JPEG files that the embedded checkpoint answers.")] = 240,
    killed: Annotated[int, typer.Option(min=1, help="JPEG files of the run that is killed five times.")] = 10_000,
    out: OutputFolder = None,
) -> None:
    """Measure the own cost of runs over many images, their memory, several workers, and runs that are killed."""
    with _report_errors(), require_extra("parquet", "pyarrow"):
        numbers, processes = _parse_numbers(growth), _parse_numbers(workers)
        from bench.suites.annotation.measuring import measure_annotation

        _print_tables(measure_annotation(growth=numbers, files=files, workers=processes, real=real, killed=killed), out)


@app.command("engine")
def run_engine(
    seeds: Annotated[
        int | None,
        typer.Option(
            min=1, help="Simulated projects of each kind of negatives (default: 3), or trainings with --loop (1)."
        ),
    ] = None,
    scenes: Annotated[
        int | None, typer.Option(min=30, help="Scenes of each project (default: 150; 1200 with --loop).")
    ] = None,
    loop: Annotated[
        bool, typer.Option("--loop", help="Fine-tune on another style's labels instead: an hour of one core a seed.")
    ] = False,
    bfloat16: Annotated[
        bool, typer.Option("--bfloat16", help="With --loop: quicker on processors that compute in bfloat16.")
    ] = False,
    mirrored: Annotated[
        bool, typer.Option("--mirrored", help="Measure orders of review by signals of mirrored images besides instead.")
    ] = False,
    store: Annotated[
        bool, typer.Option("--store", help="Measure opening, reading and exporting 100,000 pairs instead.")
    ] = False,
    cache: Annotated[Path | None, path_option(help="Keep what is made here. Default: the user's cache.")] = None,
    out: OutputFolder = None,
) -> None:
    """Measure how many errors the riskiest pairs of the data engine hold, and how many pairs need no person.

    With --loop, measure what a round of fine-tuning on the engine's labels gains beside true labels and pseudo-labels.
    A run that was cut off goes on where it stopped.
    """
    with _report_errors(), require_extra("parquet", "pyarrow"):
        if loop:
            from bench.suites.retraining.plotting import plot_gains
            from bench.suites.retraining.study import LoopPlan, get_default_folder, measure_loop

            folder = cache or get_default_folder()
            plan = LoopPlan(folder, scenes or LoopPlan.scenes, seeds=seeds or LoopPlan.seeds, bfloat16=bfloat16)
            for table in measure_loop(plan):
                _print_tables([table], out)
                if out is not None and table.name == "engine-loop":
                    plot_gains(table, out)
            return
        if store:
            from bench.suites.engine.storing import measure_store

            _print_tables(measure_store(), out)
            return
        from bench.suites.engine.measuring import measure_engine, measure_mirrored
        from bench.suites.engine.plots import plot_table

        measure = measure_mirrored if mirrored else measure_engine
        for table in measure(seeds=seeds or 3, scenes=scenes or 150, folder=cache):
            _print_tables([table], out)
            if out is not None:
                plot_table(table, out)


@app.command("soak")
def run_soak(
    seconds: Annotated[float, typer.Option(min=1, help="How long; an hour is 3600.")] = 30.0, out: OutputFolder = None
) -> None:
    """Check that memory stays flat under concurrent conversations. Exit code 1 if it grows, or if one fails."""
    with _report_errors():
        from bench.suites.soak import measure_soak

        result = measure_soak(seconds=seconds)
        _print_tables([result.table], out)
        if result.complaint:
            print_remark(f"error: {result.complaint}")
            raise typer.Exit(FAILURE)


@app.command("serve")
def run_serve(
    tables: Annotated[str, typer.Option(help="Only these, with commas.")] = ",".join(SERVE_TABLES),
    requests: Annotated[int, typer.Option(min=10, help="Requests whose processor time is measured.")] = 1000,
    rounds: Rounds = 5,
    seconds: Annotated[float, typer.Option(min=1, help="How long more is asked than can be answered.")] = 60.0,
    out: OutputFolder = None,
) -> None:
    """Measure what HTTP costs beside the same call in Python, an overload, a SIGTERM, several processes."""
    with _report_errors():
        chosen = _parse_names(tables, SERVE_TABLES, "--tables")
        from bench.suites.serving.measures import ServingWorkload, measure_serving

        _print_tables(measure_serving(ServingWorkload(chosen, requests, rounds, seconds)), out)


@app.command("serve-soak")
def run_serve_soak(
    seconds: Annotated[float, typer.Option(min=1, help="How long; ten minutes are 600.")] = 30.0,
    out: OutputFolder = None,
) -> None:
    """Check that a server's memory stays flat. Exit code 1 if it grows, or if a request ends as none should."""
    with _report_errors():
        from bench.suites.serving.soaking import measure_server_soak

        result = measure_server_soak(seconds=seconds)
        _print_tables([result.table], out)
        if result.complaint:
            print_remark(f"error: {result.complaint}")
            raise typer.Exit(FAILURE)


@app.command("agent")
def run_agent() -> None:
    """Measure the agent's own cost per step, and what each toolset sends to a language model."""
    _run_suites("agent")


@app.command("eval")
def run_evaluation() -> None:
    """Measure the evaluation's own cost per sample, its throughput with many workers, and its scoring speed."""
    _run_suites("eval")


@app.command("demo")
def run_demo() -> None:
    """Measure the demo in Chromium: from the command to the first page, from a click to its mask."""
    _require_packages("playwright", "gradio")
    _run_suites("demo")


@app.command("review")
def run_review() -> None:
    """Measure the review of the data engine at 100,000 items: its queue under kills, its page in Chromium."""
    _require_packages("playwright", "fastapi", "pyarrow")
    _run_suites("review")


@app.command("all")
def run_all(out: OutputFolder = None) -> None:
    """Measure all of these with their defaults, each in a process of its own, so that none warms up the next."""
    _require_packages("playwright", "gradio", "mcp", "uvicorn", "fastapi")
    written = [] if out is None else ["--out", str(out)]
    for command in ("sam3", "masks", "tracking", "start", "growth", "soak", "mcp", "serve", "serve-soak"):
        _run_program("from agent.cli.main import main; main()", "bench", command, *written)
    for program in (run_agent, run_evaluation, run_demo):
        program()


def _require_packages(*needed: str) -> None:
    """Name what is missing before anything is measured, and not after an hour."""
    with report_user_errors(), require_extra("dev", *needed):
        for name in needed:
            if find_spec(name) is None:
                raise ModuleNotFoundError(name=name)


def _print_tables(tables: "Iterable[Table]", out: Path | None) -> None:
    for table in tables:
        print_line(f"{table.to_text()}\n")
        if out is not None:
            from bench.harness.plots import plot_table

            table.write(out)
            plot_table(table, out)


def _parse_numbers(text: str) -> list[int]:
    """Whole numbers above 0. Raises UsageError.

    >>> _parse_numbers("1,2, 16")
    [1, 2, 16]
    """
    try:
        numbers = [int(number) for number in text.split(",")]
    except ValueError:
        numbers = []
    if not numbers or min(numbers) < 1:
        raise UsageError(f"expected whole numbers above 0 with commas, e.g. 1,2,4, got {text!r}")
    return numbers


def _parse_names(text: str, known: Sequence[str], option: str) -> list[str]:
    """Names out of the known ones. Raises UsageError.

    >>> _parse_names("published", BASELINES, "--against")
    ['published']
    """
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not set(names) <= set(known):
        raise UsageError(f"{option} takes {', '.join(known)}, with commas, got {text!r}")
    return names


@contextmanager
def _report_errors() -> Iterator[None]:
    left = "no further table was measured"
    with report_user_errors(interrupted=left), require_extra("bench", "matplotlib", "skimage"):
        yield


def _run_suites(command: str) -> None:
    """Run the suites of a command one after the other; the first that fails ends it with its exit code."""
    for module in SUITES[command]:
        _run_program(f"from bench.suites.{module} import main; main()")


def _run_program(program: str, *words: str) -> None:
    with _report_errors():
        code = subprocess.run([sys.executable, "-c", program, *words], check=False).returncode
    if code:
        raise typer.Exit(code)
