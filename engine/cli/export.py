"""`engine export`: write what is labelled for programs that train or score."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from agent.cli.console import Progress, report_user_errors, require_extra, show_progress, to_one_line
from agent.cli.path_parameters import path_argument, path_option
from agent.cli.streams import print_line, print_remark

if TYPE_CHECKING:
    from engine.exports.trainer import TrainerReport


def export_engine(
    folder: Annotated[Path, path_argument(help="Folder of the data engine.")],
    to: Annotated[
        Literal["trainer"], typer.Option("--to", help="trainer: SA-Co files for the official trainer of SAM 3.")
    ],
    out: Annotated[Path, path_option(help="A folder that is empty or not there yet.")],
    plain_coco: Annotated[
        bool,
        typer.Option("--plain-coco", help="trainer: COCO files too; every image must be judged for every phrase."),
    ] = False,
) -> None:
    """Write the labels of the data engine in FOLDER into a new folder.

    Pairs that people refused, or of which nothing is known yet, are left out, and listed with the reason.

    Exit codes: 0 done; 1 stopped by a failure; 2 bad usage or bad input.
    """
    interrupted = "nothing was written"
    with report_user_errors(interrupted=interrupted), require_extra("parquet", "pyarrow"), show_progress() as display:
        from engine.exports.trainer import export_trainer
        from engine.store.store import EngineStore
        from engine.verifiers.keeping import load_policy

        with EngineStore.open(folder, read_only=True) as store:
            display.show_status(f"writing {out}")
            report = export_trainer(
                store,
                out,
                policy=load_policy(store),
                plain_coco=plain_coco,
                on_note=lambda text: _print_note(display, text),
            )
        for line in describe_trainer_export(report):
            print_line(line)


def describe_trainer_export(report: "TrainerReport") -> list[str]:
    """Describe in lines what was written."""
    splits = ", ".join(f"{count:,} pairs {split}" for split, count in report.pairs.items())
    deciders = ", ".join(f"{count:,} by {who}" for who, count in sorted(report.decided_by.items()))
    left_out = ", ".join(f"{count:,} {reason}" for reason, count in sorted(report.excluded.items()))
    lines = [
        f"saved {report.folder}: {splits}",
        f"final: {deciders or 'none'}; {report.negatives:,} of all say that nothing is there",
        f"perhaps incomplete, for weak_loss: {report.partial:,}",
        f"left out, see excluded.jsonl: {left_out or 'none'}",
    ]
    if report.copied:
        lines.append(f"saved upright in images/, because plain readers see other pixels: {report.copied:,} images")
    return lines


def _print_note(display: Progress, text: str) -> None:
    line = f"note: {to_one_line(text)}"
    if display.is_visible:
        display.print_line(line)
    else:
        print_remark(line)
