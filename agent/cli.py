"""The command line: `sam3-agent segment` and `sam3-agent doctor`. Thin: arguments in, one call, files and a line out.

Whatever is slow to import is imported inside the function that needs it, so that `--help` answers at once.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from importlib.metadata import version
from io import TextIOWrapper
from itertools import groupby
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console
from rich.markup import escape

if TYPE_CHECKING:
    from agent.doctor import Finding
    from agent.episode import Episode, Task
    from agent.planner import Planner
    from agent.result import Result
    from agent.transcript import MadeBy

FAILURE, BAD_INPUT, INTERRUPTED = 1, 2, 130

Protocol = Literal["workspace", "paper"]

app = typer.Typer(
    help="Ask for something in a picture in your own words; get exact masks.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)


class BadInput(ValueError):
    """An argument that cannot be used; one line for the user."""


def main(words: Sequence[str] | None = None) -> None:
    """The installed `sam3-agent` program. `words`: its arguments, those of the process when left out."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            # a file name may hold bytes that are no text; it must not break the line that tells about the file
            stream.reconfigure(errors="backslashreplace")
    app(words)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"sam3-agent {version('sam3-agent')}")
        raise typer.Exit


@app.callback()
def _options(
    show_version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    pass


@app.command()
def segment(
    image: Annotated[Path, typer.Argument(help="A picture file: PNG, JPEG, WebP, BMP, TIFF or GIF.")],
    query: Annotated[str, typer.Argument(help="What to find, in your own words.")],
    sam3: Annotated[str | None, typer.Option(help="tiny, facebook/sam3, or a folder (default: tiny).")] = None,
    device: Annotated[str, typer.Option(help="Where SAM 3 runs: auto, cpu, cuda, cuda:1 …")] = "auto",
    planner: Annotated[str, typer.Option(help="grammar, or replay:EPISODE.json.")] = "grammar",
    protocol: Annotated[Protocol | None, typer.Option(help="Which set of tools (default: workspace).")] = None,
    threshold: Annotated[float | None, typer.Option(help="Keep masks that score above it (default: 0.5).")] = None,
    max_steps: Annotated[int | None, typer.Option(help="Stop after so many steps (default: 12).")] = None,
    max_seconds: Annotated[float | None, typer.Option(help="Stop after so many seconds.")] = None,
    out: Annotated[Path | None, typer.Option(help="Output folder (default: out/<name of IMAGE>).")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print result.json, and nothing else, on stdout.")] = False,
) -> None:
    """Find what QUERY asks for in IMAGE; write overlay.png, result.json, episode.json and episode.html.

    Exit codes: 0 answered, or nothing matched; 1 failure, or stopped before an answer; 2 bad usage or bad input.
    Stopped, it gives the best answer so far. A replay takes what is left out here from the episode it repeats.
    """
    started = perf_counter()
    with _one_line_errors():
        _check(query, threshold, max_steps, max_seconds)
        from agent.episode import Task
        from agent.result import FILES, Result, replacing, write
        from sam3_tool import Picture

        task = Task(Picture.open(image), query)
        made_by = _made_by(planner, sam3, protocol, max_steps, max_seconds)
        thinker = _load_planner(made_by, threshold)
        folder = out or Path("out", image.stem)
        with replacing(folder, FILES) as stage:
            episode = _episode(task, thinker, made_by, device)
            result = Result.of(episode, seconds=perf_counter() - started)
            write(episode, result, stage, made_by=made_by, source=image.name)
    typer.echo(result.to_json() if json else _told(result, folder))
    raise typer.Exit(0 if result.ended_well else FAILURE)


@app.command()
def doctor() -> None:
    """Say what is installed, where SAM 3 would run, which checkpoints are here, and what to do next."""
    from agent.doctor import examine, healthy, what_next

    findings = examine()
    _print_table(findings)
    typer.echo("What to do next")
    for line in what_next(findings):
        typer.echo(f"  - {line}")
    raise typer.Exit(0 if healthy(findings) else FAILURE)


def _check(query: str, threshold: float | None, max_steps: int | None, max_seconds: float | None) -> None:
    """Raises BadInput for what no later part could make sense of."""
    if not query.strip():
        raise BadInput("the query is empty; say what to find, e.g. 'the second largest circle'")
    if any("\ud800" <= letter <= "\udfff" for letter in query):
        raise BadInput("the query is not UTF-8 text")
    if threshold is not None and not 0 <= threshold < 1:
        raise BadInput(f"--threshold must be at least 0 and below 1, got {threshold:g}")
    if max_steps is not None and max_steps < 1:
        raise BadInput(f"--max-steps must be at least 1, got {max_steps}")
    if max_seconds is not None and not max_seconds > 0:
        raise BadInput(f"--max-seconds must be above 0, got {max_seconds:g}")


def _made_by(
    planner: str, sam3: str | None, protocol: Protocol | None, max_steps: int | None, max_seconds: float | None
) -> "MadeBy":
    """What the options ask for; where they say nothing, what made the episode that is replayed, or the defaults."""
    from agent.planner import PlannerError
    from agent.transcript import MadeBy, TranscriptError, load

    kind, _, file = planner.partition(":")
    try:
        before = load(file).made_by if kind == "replay" else MadeBy(planner=planner, sam3="tiny")
    except TranscriptError as error:
        raise PlannerError(f"cannot replay: {error}") from error
    return MadeBy(
        planner=planner,
        sam3=sam3 or before.sam3,
        protocol=protocol or before.protocol,
        budget=replace(
            before.budget,
            max_steps=max_steps or before.budget.max_steps,
            max_seconds=max_seconds or before.budget.max_seconds,
        ),
    )


def _load_planner(made_by: "MadeBy", threshold: float | None) -> "Planner":
    """Raises BadInput where a threshold would reach nobody."""
    from agent.load import load_planner

    if threshold is None:
        return load_planner(made_by.planner, **({"tools": made_by.protocol} if made_by.planner == "grammar" else {}))
    if made_by.planner != "grammar":
        raise BadInput(f"--threshold is for --planner grammar; {made_by.planner} sets its own")
    if made_by.protocol == "paper":
        raise BadInput("--threshold needs --protocol workspace; the paper's tools have no such argument")
    return load_planner(made_by.planner, tools=made_by.protocol, threshold=threshold)


def _episode(task: "Task", planner: "Planner", made_by: "MadeBy", device: str) -> "Episode":
    """The finished episode, with progress on the terminal."""
    from agent import PAPER_TOOLS, TOOLS, watch
    from sam3_tool import Sam3

    tools = TOOLS if made_by.protocol == "workspace" else PAPER_TOOLS
    with _progress() as tell:
        tell(f"loading SAM 3 ({made_by.sam3})")
        sam3 = Sam3.load(made_by.sam3, device=device)
        tell("thinking")
        for episode in watch(task, planner, sam3, tools=tools, budget=made_by.budget):
            step = episode.steps[-1]
            tell(f"step {len(episode.steps)}: {step.decision.tool}: {_line(step.observation.text)}")
    return episode


def _told(result: "Result", folder: Path) -> str:
    """The answer in one line, and where the files are."""
    from agent.result import FILES

    stopped = "" if result.ended_well else f"{result.outcome}: "
    return f"{stopped}{_line(result.message)}\n{folder}: {', '.join(FILES)}"


@contextmanager
def _one_line_errors() -> Iterator[None]:
    """Bad input, and Ctrl-C, become one line on stderr and an exit code. A defect keeps its traceback (code 1)."""
    from agent.planner import PlannerError
    from agent.result import OutputError
    from sam3_tool import CheckpointError, DeviceError, PictureError

    try:
        yield
    except (BadInput, CheckpointError, DeviceError, OutputError, PictureError, PlannerError) as error:
        typer.echo(f"error: {_line(str(error))}", err=True)
        raise typer.Exit(BAD_INPUT) from error
    except KeyboardInterrupt:
        typer.echo("interrupted; nothing was written", err=True)
        raise typer.Exit(INTERRUPTED) from None


def _line(text: str) -> str:
    return " ".join(text.split())


@contextmanager
def _progress() -> Iterator[Callable[[str], None]]:
    """Something to tell what is being done; shown on stderr while it lasts, if that is a terminal."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda text: None
        return
    with console.status("") as status:
        yield lambda text: status.update(escape(text))


def _print_table(findings: "Sequence[Finding]") -> None:
    signs = {"ok": "ok", "absent": "-", "problem": "!!"}
    width = max(len(finding.name) for finding in findings)
    for section, lines in groupby(findings, key=lambda finding: finding.section):
        typer.echo(section)
        for line in lines:
            typer.echo(f"  {signs[line.state]:<2}  {line.name:<{width}}  {line.detail}")
