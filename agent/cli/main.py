"""The command line: `sam3-agent segment`, `chat` and `doctor`. Thin: arguments in, one call, files and a line out.

Whatever is slow to import is imported inside the function that needs it, so that `--help` answers at once.
"""

import gc
import os
import sys
from collections.abc import Sequence
from importlib.metadata import entry_points, version
from io import TextIOWrapper
from itertools import groupby
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
import typer.core

from agent.cli import shared_options
from agent.cli.console import FAILURE, Progress, format_latest_step, report_user_errors, show_progress, to_one_line
from agent.cli.options import Options, check_query
from agent.core.errors import UsageError

if TYPE_CHECKING:
    from agent.cli.doctor import Finding
    from agent.conversation.conversation import Conversation
    from agent.core.episode import Episode, Task
    from agent.core.planner import Planner
    from agent.records.provenance import Provenance
    from agent.report.result import Result
    from sam3_tool import Sam3

COMMAND_ENTRY_POINTS = "sam3_agent.commands"
"""The entry points under which installed packages offer further commands: typer applications."""


class CommandGroup(typer.core.TyperGroup):
    """The commands here, and those of other packages, which are imported only when they are asked for."""

    def list_commands(self, ctx: Any) -> list[str]:
        return [*super().list_commands(ctx), *sorted(entry_points(group=COMMAND_ENTRY_POINTS).names)]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if (own := super().get_command(ctx, cmd_name)) is not None:
            return own
        _freeze_and_enable_gc()
        found = entry_points(group=COMMAND_ENTRY_POINTS, name=cmd_name)
        return next((_build_command(cmd_name, entry_point.load()) for entry_point in found), None)


def _build_command(name: str, other: typer.Typer) -> Any:
    command = typer.main.get_command(other)
    command.name = name
    return command


app = typer.Typer(
    cls=CommandGroup,
    help="Ask for something in a picture in your own words; get exact masks.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)


def main(words: Sequence[str] | None = None) -> None:
    """The installed `sam3-agent` program. `words`: its arguments, those of the process when left out."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            # a file name may hold bytes that are no text; it must not break the line that tells about the file
            stream.reconfigure(errors="backslashreplace")
    gc.disable()  # a third of a cold start was the search for garbage among what is imported
    try:
        app(words)
    finally:
        gc.enable()


def _freeze_and_enable_gc() -> None:
    """Garbage is looked for again, but never among what was imported and loaded: a million objects that stay."""
    if not gc.isenabled():
        gc.freeze()
        gc.enable()


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"sam3-agent {version('sam3-agent')}")
        raise typer.Exit


@app.callback()
def _define_global_options(
    show_version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    pass


@app.command()
@shared_options.planning_options()
def segment(
    image: Annotated[Path, typer.Argument(help="A picture file: PNG, JPEG, WebP, BMP, TIFF or GIF.")],
    query: Annotated[str, typer.Argument(help="What to find, in your own words.")],
    options: Options,
    out: Annotated[Path | None, typer.Option(help="Output folder (default: out/<name of IMAGE>).")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print result.json, and nothing else, on stdout.")] = False,
    export: shared_options.ExportOption = None,
) -> None:
    """Find what QUERY asks for in IMAGE; write overlay.png, result.json, episode.json and episode.html.

    Exit codes: 0 answered, nothing matched, or asked back; 1 failure, or stopped before an answer; 2 bad usage or bad
    input. Stopped, it gives the best answer so far. A replay takes what is left out here from what it repeats.
    Of a language model's server, the key is read from OPENAI_API_KEY and is never written anywhere.
    """
    started = perf_counter()
    with report_user_errors():
        check_query(query)
        from agent.core.episode import Task
        from agent.exports import select_exporters
        from agent.report.output_folder import ANSWER_FILES, stage_files, write_answer_files, write_exports
        from agent.report.result import Result
        from sam3_tool import Image

        formats = [] if export is None else [*select_exporters(export).values()]
        files = (*ANSWER_FILES, *(exporter.build_file_name(image.name) for exporter in formats))
        task = Task(Image.open(image), query)
        folder = out or Path("out", image.stem)
        with stage_files(folder, files) as stage:
            episode, provenance = _run_task(task, options)
            result = Result.from_episode(episode, seconds=perf_counter() - started)
            write_answer_files(episode, result, stage, provenance=provenance, source=image.name)
            write_exports(episode, formats, stage, source=image.name)
    typer.echo(result.to_json() if json else _format_summary(result, folder, files))
    raise typer.Exit(0 if _is_success(result) else FAILURE)


@app.command()
@shared_options.planning_options()
def chat(
    options: Options,
    image: Annotated[Path | None, typer.Argument(help="A picture file; may be left out with --open.")] = None,
    out: Annotated[Path | None, typer.Option(help="Output folder (default: out/<name of IMAGE>).")] = None,
    open_: Annotated[Path | None, typer.Option("--open", help="Go on with a saved conversation.")] = None,
    save: Annotated[Path | None, typer.Option(help="Save the conversation there on leaving.")] = None,
    say: Annotated[
        list[str] | None, typer.Option(help="A line to say; given again, the next one. Then it leaves.")
    ] = None,
    inline: Annotated[
        Literal["auto", "kitty", "iterm", "sixel", "never"],
        typer.Option(help="How the terminal shows pictures (auto: by its name; else their path is printed)."),
    ] = "auto",
) -> None:
    """Talk about IMAGE: say what to find, then 'only the red ones', 'not number 3', 'undo'. /help says more.

    overlay.png shows the answer after every turn. Lines may also come by --say or from a pipe: each brings one line.
    Exit codes: 0; 1 such a line could not be done; 2 bad usage or bad input; 130 interrupted.
    """

    with report_user_errors():
        from agent.cli import chat as chat_terminal
        from agent.cli.inline_image import detect_inline_mode

        interactive = not say and sys.stdin.isatty()
        if save is not None and (save.is_dir() or not save.parent.is_dir()):
            raise UsageError(f"--save needs the name of a file in a folder that is there, got {save}")
        conversation = _open_conversation(image, open_)
        with show_progress() as progress:
            planner, sam3, provenance = _load_models(options, progress)
        kind = inline if inline != "auto" else detect_inline_mode(os.environ)
        folder = out or Path("out", Path(conversation.name or "conversation").stem)
        session = chat_terminal.Chat(planner, sam3, provenance, folder, typer.echo, kind, interactive, save)
    kept = "nothing was saved" if save is None else f"the conversation is in {save}"
    with report_user_errors(interrupted=kept):
        succeeded = chat_terminal.run_chat(session, conversation, say or chat_terminal.read_lines(interactive))
    raise typer.Exit(0 if succeeded or interactive else FAILURE)


@app.command()
def doctor(
    planner: Annotated[str | None, typer.Option(help="Also try this planner, e.g. openai:MODEL.")] = None,
    base_url: Annotated[str | None, typer.Option(help="Of its server (or OPENAI_BASE_URL).")] = None,
) -> None:
    """Say what is installed, where SAM 3 would run, which checkpoints are here, and what to do next."""
    from agent.cli.doctor import collect_findings, is_healthy, suggest_next_steps, try_planner

    options = {} if base_url is None else {"base_url": base_url}
    findings = [*collect_findings(), *([] if planner is None else [try_planner(planner, **options)])]
    _print_table(findings)
    typer.echo("What to do next")
    for line in suggest_next_steps(findings):
        typer.echo(f"  - {line}")
    raise typer.Exit(0 if is_healthy(findings) else FAILURE)


def _run_task(task: "Task", options: Options) -> "tuple[Episode, Provenance]":
    """The finished episode and what made it, with progress on the terminal."""
    from agent import watch

    with show_progress() as progress:
        planner, sam3, provenance = _load_models(options, progress)
        progress.show_status("thinking")
        for episode in watch(task, planner, sam3, budget=provenance.budget):
            progress.show_status(format_latest_step(episode))
    return episode, provenance


def _open_conversation(image: Path | None, saved: Path | None) -> "Conversation":
    """A conversation about this picture; the saved one, where it is given, goes on with the picture."""
    from agent.conversation.conversation import Conversation
    from sam3_tool import Image

    if saved is not None:
        opened = Conversation.open(saved)
        return opened if image is None else opened.show(Image.open(image), image.name)
    if image is None:
        raise UsageError("no picture to talk about; name one, or --open a saved conversation")
    return Conversation.start(Image.open(image), image.name)


def _load_models(options: Options, progress: Progress) -> "tuple[Planner, Sam3, Provenance]":
    """What was asked for, and its name for files."""
    from agent.planners.loading import load_planner, with_model_info, wrap_recording

    provenance = options.build_provenance()
    progress.show_status(f"loading {options.planner}")
    planner_options = options.to_planner_options(provenance)
    planner = load_planner(options.planner, **planner_options)
    provenance = with_model_info(provenance, planner)
    progress.print_line(_format_header(provenance))
    progress.show_status(f"loading SAM 3 ({provenance.sam3})")
    sam3 = _load_sam3(options, provenance)
    if options.record is not None:
        planner = wrap_recording(planner, provenance, options.record, **planner_options)
    _freeze_and_enable_gc()
    return planner, sam3, provenance


def _load_sam3(options: Options, provenance: "Provenance") -> "Sam3":
    """The recorded one for a replay, unless another is asked for."""
    from sam3_tool import Sam3

    if options.recording_folder and options.sam3 is None:
        return Sam3.replay(options.recording_folder)
    return Sam3.load(provenance.sam3, device=options.device, record=options.record)


def _format_header(provenance: "Provenance") -> str:
    """Who plans, in one line."""
    return f"{provenance.planner}, {provenance.toolset.name} toolset{provenance.capabilities and f'; {provenance.capabilities}'}"


def _is_success(result: "Result") -> bool:
    """An agent that asks back has done its part; who calls it sees by the outcome that an answer is wanted."""
    return result.is_conclusive or result.outcome == "asked"


def _format_summary(result: "Result", folder: Path, files: Sequence[str]) -> str:
    """The answer in one line, or the question with one line per option; and where the files are."""
    outcome = "" if result.is_conclusive else f"{result.outcome}: "
    options = [f"  {number}. {to_one_line(option)}" for number, option in enumerate(result.options, start=1)]
    return "\n".join([f"{outcome}{to_one_line(result.message)}", *options, f"{folder}: {', '.join(files)}"])


def _print_table(findings: "Sequence[Finding]") -> None:
    signs = {"ok": "ok", "absent": "-", "problem": "!!"}
    width = max(len(finding.name) for finding in findings)
    for section, lines in groupby(findings, key=lambda finding: finding.section):
        typer.echo(section)
        for line in lines:
            typer.echo(f"  {signs[line.state]:<2}  {line.name:<{width}}  {line.detail}")
