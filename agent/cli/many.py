"""One query about each of many images and videos: a folder and a line for each, whatever becomes of the others."""

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

from agent.cli.loading import load_models
from agent.cli.segment import Asked, Written, answer_task, format_answer, is_success
from agent.cli.terminal.console import FAILURE, Progress, print_notes, report_user_errors, show_progress, to_one_line
from agent.cli.terminal.streams import print_json, print_line, print_remark
from agent.core.errors import OutputError
from agent.report.output_folder import raise_write_errors
from agent.report.rows import ROWS_FILE, Row, RowWriter
from agent.sources.expanding import SourceItem, choose_folders
from sam3_tool.errors import DeviceError, UserError
from sam3_tool.system.file_names import escape_unprintable

if TYPE_CHECKING:
    from agent.cli.loading import Models


def answer_items(items: Sequence[SourceItem], asked: Asked, folder: Path, *, json: bool) -> int:
    """Answer a query about each image and video, and write the files of each into a folder of its own.

    Returns:
        The exit code: 0 where each has its answer, 1 where one has none.
    """
    rows: list[Row] = []

    def describe() -> str:
        return f"{_count_rows(rows, items)}, in {folder}" if rows else "nothing was written"

    with report_user_errors(interrupted=describe), show_progress() as progress:
        load = cache(lambda is_video: load_models(asked.options.for_subject(is_video=is_video), progress))
        load(False)  # what cannot be loaded is said once, before anything is written
        with raise_write_errors(folder), RowWriter(folder) as writer:
            for item, name in zip(items, choose_folders(items, reserved=[ROWS_FILE]), strict=True):
                written = _answer_item(item, asked, folder / name, load, progress)
                row = _build_row(item, name, written)
                writer.append(row)
                rows.append(row)
                _print_row(row, folder, json=json)
                if isinstance(written, Written) and written.interruption is not None:
                    raise written.interruption
        if not json:
            print_line(f"{_count_rows(rows, items)}: {escape_unprintable(str(folder / ROWS_FILE))}")
    return 0 if all(row.result is not None and is_success(row.result) for row in rows) else FAILURE


def _answer_item(
    item: SourceItem, asked: Asked, folder: Path, load: "Callable[[bool], Models]", progress: Progress
) -> Written | UserError:
    """The answer about one image or video, or why there is none. Raises UserError for what no other would survive."""
    started = perf_counter()
    try:
        subject, task = asked.open_item(item)
        print_notes(f"{item.source}: {note}" for note in subject.notes)
        is_video = task.timeline is not None
        return answer_task(
            task,
            lambda: load(is_video),
            asked.exporters,
            folder,
            source=item.name,
            started=started,
            progress=progress,
        )
    except (DeviceError, OutputError):
        raise
    except UserError as error:
        return error


def _build_row(item: SourceItem, folder: str, written: Written | UserError) -> Row:
    if isinstance(written, Written):
        return Row(source=item.source, folder=folder, result=written.result)
    return Row(source=item.source, error=to_one_line(str(written)))


def _print_row(row: Row, folder: Path, *, json: bool) -> None:
    source = escape_unprintable(row.source)
    if row.error is not None:
        named = row.error if row.error.startswith(source) else f"{source}: {row.error}"
        print_remark(f"error: {named}")
    if json:
        print_json(row.to_json())
    elif row.result is not None and row.folder is not None:
        print_line(f"{source}: {format_answer(row.result)} ({escape_unprintable(str(folder / row.folder))})")


def _count_rows(rows: Sequence[Row], items: Sequence[SourceItem]) -> str:
    """E.g. 'answered 7 of 9, 1 failed'."""
    answered = sum(row.result is not None and is_success(row.result) for row in rows)
    failed = f", {len(rows) - answered} failed" if len(rows) > answered else ""
    return f"answered {answered} of {len(items)}{failed}"
