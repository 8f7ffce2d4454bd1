"""`engine take`: take back masks that people have corrected in another tool."""

from pathlib import Path
from time import time
from typing import TYPE_CHECKING, Annotated

import typer

from agent.cli.options.path_parameters import path_argument
from agent.cli.terminal.console import report_user_errors, require_extra
from agent.cli.terminal.streams import print_line

if TYPE_CHECKING:
    from engine.corrections.taking_back import TakenCorrections


def take_engine_corrections(
    folder: Annotated[Path, path_argument(help="Folder of the data engine.")],
    files: Annotated[list[Path], typer.Argument(help="COCO files, tasks of Label Studio, labels of YOLO, or a ZIP.")],
    by: Annotated[str, typer.Option("--by", help="Name of whoever corrected.")],
    empty_is_done: Annotated[
        bool,
        typer.Option("--empty-is-done", help="A pair without a mask in FILES is done: nothing of it is in the image."),
    ] = False,
) -> None:
    """Take corrections from FILES, for the pairs of the data engine in FOLDER that wait for them.

    `engine export --to corrections` hands these pairs out. What people have finished meanwhile stays as it is.

    Exit codes: 0 done; 1 stopped by a failure; 2 bad usage or bad input.
    """
    with report_user_errors(interrupted="nothing was taken"), require_extra("parquet", "pyarrow"):
        from engine.corrections.taking_back import take_corrections
        from engine.store.store import EngineStore
        from engine.verifiers.keeping import load_policy
        from sam3_tool.system.interruptions import defer_interruptions

        with EngineStore.open(folder, task="review") as store, defer_interruptions():
            policy = load_policy(store)
            taken = take_corrections(store, files, by=by, at=time(), policy=policy, empty_is_done=empty_is_done)
    for line in describe_taken(taken):
        print_line(line)


def describe_taken(taken: "TakenCorrections") -> list[str]:
    """Describe in lines what was taken, and what was not."""
    lines = [f"{taken.corrections:,} pairs are corrected"]
    if taken.empty:
        lines.append(
            f"{taken.empty:,} pairs still wait, for the files have no mask of their phrase; where that is right:"
            " --empty-is-done"
        )
    if taken.other_masks:
        lines.append(f"{taken.other_masks:,} masks are of no phrase that waits for correction in their image")
    if unknown := taken.unknown_images:
        lines.append(f"{len(unknown):,} images are not in the engine: {unknown[0]!r} is the first")
    return lines
