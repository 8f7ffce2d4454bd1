"""`sam3-agent segment`: one query about one image or video, four files and one line out."""

from collections.abc import Sequence
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Annotated

import typer

from agent.cli import shared_options
from agent.cli.console import (
    FAILURE,
    format_latest_step,
    print_notes,
    report_user_errors,
    show_progress,
    to_one_line,
)
from agent.cli.loading import load_models
from agent.cli.options import Options, read_query
from agent.cli.path_parameters import path_argument, path_option
from agent.cli.streams import print_json, print_line
from sam3_tool.system.file_names import escape_unprintable, sanitize_file_name

if TYPE_CHECKING:
    from agent.core.episode import Episode, Task
    from agent.records.provenance import Provenance
    from agent.report.result import Result


@shared_options.planning_options()
def segment(
    image: Annotated[
        Path, path_argument(help="A picture file, or a video: MP4, MOV, MKV, WebM …, an animation, a folder of frames.")
    ],
    query: Annotated[str, typer.Argument(help="What to find, in your own words.")],
    options: Options,
    out: Annotated[Path | None, path_option(help="Output folder (default: out/<name of IMAGE>).")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print result.json, and nothing else, on stdout.")] = False,
    export: shared_options.ExportOption = None,
    start: Annotated[float | None, typer.Option(min=0, help="Of a video: look only from this second on.")] = None,
    end: Annotated[float | None, typer.Option(min=0, help="Of a video: look only up to this second.")] = None,
    max_pixels: shared_options.MaxPixelsOption = None,
) -> None:
    """Find what QUERY asks for in IMAGE; write overlay.png, result.json, episode.json and episode.html.

    In a video, what is found is followed through all frames. overlay.png shows some of them, and overlay.mp4 all.

    Exit codes: 0 answered, nothing matched, or asked back; 1 failure, or stopped before an answer; 2 bad usage or bad
    input. Stopped, it gives the best answer so far. A replay takes what is left out here from what it repeats.
    Of a language model's server, the key is read from OPENAI_API_KEY and is never written anywhere.
    """
    started = perf_counter()
    recorded = "" if options.record is None else f"; the calls so far are recorded in {options.record}"
    with report_user_errors(interrupted=f"no answer was written{recorded}" if recorded else "nothing was written"):
        query = read_query(query)
        from agent.cli.subjects import build_task, open_subject
        from agent.exports import check_formats, select_exporters
        from agent.report.output_folder import (
            list_answer_files,
            raise_write_errors,
            stage_files,
            write_answer_files,
            write_exports,
        )
        from agent.report.result import Result

        exporters = {} if export is None else select_exporters(export)
        subject = open_subject(image, max_pixels=max_pixels)
        task = build_task(subject, query, start=start, end=end)
        is_video = task.timeline is not None
        check_formats(exporters, "video" if is_video else "image")
        print_notes(subject.notes)
        options, formats = options.for_subject(is_video=is_video), [*exporters.values()]
        files = (
            *list_answer_files(is_video=is_video),
            *(exporter.build_file_name(image.name) for exporter in formats),
        )
        folder = out or Path("out", sanitize_file_name(image.stem))
        with stage_files(folder, files) as stage:
            episode, provenance, interruption = _run_task(task, options)
            result = Result.from_episode(episode, seconds=perf_counter() - started, warnings=provenance.warnings)
            with raise_write_errors(folder):
                write_answer_files(episode, result, stage, provenance=provenance, source=image.name)
                write_exports(episode, formats, stage, source=image.name)
    kept = "the answer" if interruption is None else "what was found until then"
    with report_user_errors(interrupted=f"{kept} is in {folder}"):
        if json:
            print_json(result.to_json())
        else:
            print_line(_format_summary(result, folder, files))
        if interruption is not None:
            raise interruption
    raise typer.Exit(0 if _is_success(result) else FAILURE)


def _run_task(task: "Task", options: Options) -> "tuple[Episode, Provenance, KeyboardInterrupt | None]":
    """The finished episode, what made it, and the interruption that ended it early, with progress on the terminal."""
    from agent import watch
    from agent.tools.video.progress import keep_interrupted_work, listen_to_progress

    with show_progress() as progress, listen_to_progress(progress.show_status), keep_interrupted_work() as kept:
        planner, sam3, provenance = load_models(options, progress)
        progress.show_status("thinking")
        for episode in watch(task, planner, sam3, budget=provenance.budget):
            progress.show_status(format_latest_step(episode))
    return episode, provenance, kept.interruption


def _is_success(result: "Result") -> bool:
    """An agent that asks back has done its part; who calls it sees by the outcome that an answer is wanted."""
    return result.is_conclusive or result.outcome == "asked"


def _format_summary(result: "Result", folder: Path, files: Sequence[str]) -> str:
    """The answer in one line, or the question with one line per option; and where the files are."""
    outcome = "" if result.is_conclusive else f"{result.outcome}: "
    options = [f"  {number}. {to_one_line(option)}" for number, option in enumerate(result.options, start=1)]
    return "\n".join(
        [f"{outcome}{to_one_line(result.message)}", *options, f"{escape_unprintable(str(folder))}: {', '.join(files)}"]
    )
