"""`sam3-agent segment`: one query about an image, a video, or each of many; four files and one line for each."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Annotated

import typer

from agent.cli.loading import load_models
from agent.cli.options import shared_options
from agent.cli.options.path_parameters import path_option
from agent.cli.options.segment_options import Options, read_query
from agent.cli.terminal.console import (
    FAILURE,
    Progress,
    format_latest_step,
    print_notes,
    report_user_errors,
    show_progress,
    to_one_line,
)
from agent.cli.terminal.streams import print_json, print_line
from sam3_tool.system.file_names import escape_unprintable, sanitize_file_name
from sam3_tool.system.paths import is_file, is_folder

if TYPE_CHECKING:
    from agent.cli.loading import Models
    from agent.core.episode import Task
    from agent.exports import Exporter
    from agent.report.result import Result
    from agent.sources.expanding import Expansion, SourceItem
    from sam3_tool import Image, Video


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What is asked of every image and video of the sources."""

    query: str
    options: Options
    exporters: "dict[str, Exporter]"
    start: float | None
    end: float | None
    max_pixels: int | None
    fetch: Callable[[str], bytes]
    """From a URL to what it holds."""

    def open_item(self, item: "SourceItem") -> "tuple[Image | Video, Task]":
        """Open an image or a video, and check that all of this can be asked about it. Raises UserError."""
        from agent.cli.tasks import build_task
        from agent.exports import check_formats

        subject = item.open_subject(max_pixels=self.max_pixels, fetch=self.fetch)
        task = build_task(subject, self.query, start=self.start, end=self.end)
        check_formats(self.exporters, "image" if task.timeline is None else "video")
        return subject, task


@dataclass(frozen=True)
class Written:
    """An answer whose files are written."""

    result: "Result"
    files: Sequence[str]
    interruption: KeyboardInterrupt | None
    """What ended the episode early; the answer is what was found until then."""


@shared_options.planning_options()
def segment(
    *,
    source: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SOURCE...",
            show_default=False,
            help="An image file, or its https URL; a video: MP4, MOV, MKV, WebM …, an animation, a folder of frames."
            " Or several: files, a pattern such as 'photos/*.jpg', a .txt file with one path or URL on each line, a"
            " folder with --each; - reads an image or such a list from standard input.",
        ),
    ] = None,
    query: Annotated[str, typer.Argument(help="What to find, in your own words.")],
    options: Options,
    out: Annotated[
        Path | None, path_option(help="Output folder (default: out/<name of SOURCE>; of several: out).")
    ] = None,
    each: Annotated[
        bool, typer.Option("--each", help="Answer each image of a folder by itself: the folder is no video.")
    ] = False,
    json: Annotated[
        bool, typer.Option("--json", help="Print result.json (of several: one line of JSON each), and nothing else.")
    ] = False,
    export: shared_options.ExportOption = None,
    start: Annotated[float | None, typer.Option(min=0, help="Of a video: look only from this second on.")] = None,
    end: Annotated[float | None, typer.Option(min=0, help="Of a video: look only up to this second.")] = None,
    allow_url: Annotated[
        list[str] | None,
        typer.Option(metavar="HOST", help="Fetch what a list names from this host; give it once for each."),
    ] = None,
    max_pixels: shared_options.MaxPixelsOption = None,
) -> None:
    """Find what QUERY asks for in SOURCE; write overlay.png, result.json, episode.json and episode.html.

    In a video, what is found is followed through all frames. overlay.png shows some of them, and overlay.mp4 all;
    with --export mp4 that film has the video's name instead.

    Of several images, each gets a folder of its own in the output folder, and a line in results.jsonl there. One that
    cannot be read is said on stderr, and the others are answered.

    Exit codes: 0 answered, nothing matched, or asked back; 1 failure, or stopped before an answer, also of one among
    several; 2 bad usage or bad input. Stopped, it gives the best answer so far. A replay takes what is left out here
    from what it repeats. Of a language model's server, the key is read from OPENAI_API_KEY and is never written
    anywhere.
    """
    started = perf_counter()
    recorded = "" if options.record is None else f"; the calls so far are recorded in {options.record}"
    nothing = f"no answer was written{recorded}" if recorded else "nothing was written"
    with report_user_errors(interrupted=nothing):
        found, query = _read_words(source or [], query, each)
        from agent.exports import select_exporters
        from agent.sources.fetching import make_fetcher

        fetch = make_fetcher(source or [], allow_url or [], option="--allow-url HOST")
        exporters = {} if export is None else select_exporters(export)
        asked = Asked(
            query=query,
            options=options,
            exporters=exporters,
            start=start,
            end=end,
            max_pixels=max_pixels,
            fetch=fetch,
        )
        print_notes(found.notes)
    if not found.is_single:
        from agent.cli.many import answer_items

        raise typer.Exit(answer_items(found.items, asked, out or Path("out"), json=json))
    [item] = found.items
    folder = out or Path("out", sanitize_file_name(item.stem))
    with report_user_errors(interrupted=nothing):
        written = _answer_single(item, asked, folder, started)
    kept = "the answer" if written.interruption is None else "what was found until then"
    with report_user_errors(interrupted=f"{kept} is in {folder}"):
        if json:
            print_json(written.result.to_json())
        else:
            print_line(_format_summary(written.result, folder, written.files))
        if written.interruption is not None:
            raise written.interruption
    raise typer.Exit(0 if is_success(written.result) else FAILURE)


def _read_words(sources: list[str], query: str, each: bool) -> "tuple[Expansion, str]":
    """What the sources hold, and the query, which is the last word. Raises UserError."""
    from agent.cli.terminal.streams import read_stdin
    from agent.core.errors import UsageError
    from agent.sources.expanding import expand_sources
    from agent.sources.opening import has_subject_name
    from sam3_tool.errors import PathError

    if not sources:
        raise UsageError(
            f"only {query!r} was given; expected a source and what to find in it, e.g. photo.jpg 'the cups'"
        )
    query = read_query(query)
    if has_subject_name(Path(query)) and is_file(Path(query)):
        raise UsageError(f"the last word is the query, and {query!r} is a file; say what to find after the sources")
    try:
        return expand_sources(sources, each=each, read_stdin=read_stdin), query
    except PathError as error:
        raise UsageError(f"SOURCE: {error}") from error


def _answer_single(item: "SourceItem", asked: Asked, folder: Path, started: float) -> Written:
    subject, task = asked.open_item(item)
    print_notes(subject.notes)
    if isinstance(item.held, Path) and is_folder(item.held):
        print_notes([f"{item.source} is taken as a video of its images; --each asks about each by itself"])
    with show_progress() as progress:

        def load() -> "Models":
            return load_models(asked.options.for_subject(is_video=task.timeline is not None), progress)

        return answer_task(task, load, asked.exporters, folder, source=item.name, started=started, progress=progress)


def answer_task(
    task: "Task",
    load: "Callable[[], Models]",
    exporters: "dict[str, Exporter]",
    folder: Path,
    *,
    source: str,
    started: float,
    progress: Progress,
) -> Written:
    """Answer a task and write its files into a folder, all of them or none. Raises UserError."""
    from agent import watch
    from agent.cli.concepts.files import describe_unused_concepts
    from agent.doubt.policy import apply_doubt
    from agent.report.output_folder import (
        list_answer_files,
        raise_write_errors,
        stage_files,
        write_answer_files,
        write_exports,
    )
    from agent.report.result import Result
    from agent.tools.video.progress import keep_interrupted_work, listen_to_progress

    formats = [*exporters.values()]
    files = (
        *list_answer_files(is_video=task.timeline is not None, exports=exporters),
        *(exporter.build_file_name(source) for exporter in formats),
    )
    with stage_files(folder, files) as stage:
        with listen_to_progress(progress.show_status), keep_interrupted_work() as kept:
            planner, sam3, provenance = load()
            progress.show_status("thinking")
            for episode in watch(task, planner, sam3, budget=provenance.budget):
                progress.show_status(format_latest_step(episode))
        episode = apply_doubt(episode, provenance.doubt)
        print_notes(describe_unused_concepts(provenance.concepts, episode))
        result = Result.from_episode(episode, seconds=perf_counter() - started, warnings=provenance.warnings)
        with raise_write_errors(folder):
            write_answer_files(episode, result, stage, provenance=provenance, source=source, exports=exporters)
            write_exports(episode, formats, stage, source=source)
    return Written(result, files, kept.interruption)


def is_success(result: "Result") -> bool:
    """An agent that asks back has done its part; who calls it sees by the outcome that an answer is wanted."""
    return result.is_conclusive or result.outcome == "asked"


def format_answer(result: "Result") -> str:
    """The answer in one line, after how it ended where that was no answer."""
    outcome = "" if result.is_conclusive else f"{result.outcome}: "
    return f"{outcome}{to_one_line(result.message)}"


def _format_summary(result: "Result", folder: Path, files: Sequence[str]) -> str:
    """The answer in one line, or the question with one line per option; and where the files are."""
    options = [f"  {number}. {to_one_line(option)}" for number, option in enumerate(result.options, start=1)]
    return "\n".join(
        [
            format_answer(result),
            *options,
            *result.coverage.lines,
            f"{escape_unprintable(str(folder))}: {', '.join(files)}",
        ]
    )
