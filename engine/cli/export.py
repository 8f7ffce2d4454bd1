"""`engine export`: write what is labelled for programs that train or score."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from agent.cli.options.path_parameters import path_argument, path_option
from agent.cli.terminal.console import report_user_errors, require_extra, show_progress
from agent.cli.terminal.streams import print_line
from agent.core.errors import UsageError

if TYPE_CHECKING:
    from engine.corrections.handing_out import HandOutReport
    from engine.exports.exporting import ExportReport
    from engine.exports.trainer import TrainerReport


def export_engine(
    folder: Annotated[Path, path_argument(help="Folder of the data engine.")],
    to: Annotated[
        Literal["saco", "coco", "parquet", "webdataset", "verifier", "trainer", "corrections"],
        typer.Option(
            "--to",
            help="saco: files as SA-Co Gold and Silver; coco: plain COCO; parquet: a row a pair; webdataset: tars;"
            " verifier: chats that train a verifier; trainer: for the official trainer of SAM 3; corrections: COCO of"
            " what waits for correction, for another tool.",
        ),
    ],
    out: Annotated[Path, path_option(help="A folder that is empty or not there yet.")],
    people_only: Annotated[
        bool, typer.Option("--people-only", help="Leave out what a model has decided, alone or with people.")
    ] = False,
    with_images: Annotated[
        bool, typer.Option("--with-images", help="parquet: put the image's file into each row, not its path.")
    ] = False,
    plain_coco: Annotated[
        bool,
        typer.Option("--plain-coco", help="trainer: COCO files too; every image must be judged for every phrase."),
    ] = False,
) -> None:
    """Write the labels of the data engine in FOLDER into a new folder.

    Only what is final is written (for trainer, masks that are accepted so far too; for corrections, what waits for
    them). The rest is listed with the reason.

    Exit codes: 0 done; 1 stopped by a failure; 2 bad usage or bad input.
    """
    interrupted = "nothing was written"
    with report_user_errors(interrupted=interrupted), require_extra("parquet", "pyarrow"), show_progress() as display:
        _check_options(to, with_images=with_images, plain_coco=plain_coco)
        from engine.corrections.handing_out import hand_out_corrections
        from engine.exports.exporting import export_engine_labels
        from engine.exports.trainer import export_trainer
        from engine.states import StatePolicy
        from engine.store.store import EngineStore
        from engine.verifiers.keeping import load_policy

        with EngineStore.open(folder, read_only=True) as store:
            display.show_status(f"writing {out}")
            policy = StatePolicy() if people_only else load_policy(store)
            on_note = display.print_note
            if to == "corrections":
                lines = describe_hand_out(folder, hand_out_corrections(store, out, policy=policy, on_note=on_note))
            elif to == "trainer":
                lines = describe_trainer_export(
                    export_trainer(store, out, policy=policy, plain_coco=plain_coco, on_note=on_note)
                )
            else:
                report = export_engine_labels(store, out, to, policy=policy, with_images=with_images, on_note=on_note)
                lines = describe_export(report)
        for line in lines:
            print_line(line)


def _check_options(to: str, *, with_images: bool, plain_coco: bool) -> None:
    if plain_coco and to != "trainer":
        raise UsageError(f"--plain-coco is for --to trainer, not {to}; plain COCO alone is --to coco")
    if with_images and to != "parquet":
        raise UsageError(f"--with-images is for --to parquet, not {to}")


def describe_export(report: "ExportReport") -> list[str]:
    """Describe in lines what was written."""
    info = report.info
    lines = [f"saved {report.folder}: {', '.join(report.files)}", f"log position: {info['log_position']:,}"]
    if "examples" in info:
        kinds = ", ".join(f"{count:,} {kind}" for kind, count in info["kinds"].items())
        return [*lines, f"examples: {kinds}; all by people"]
    splits = ", ".join(f"{count:,} pairs {split}" for split, count in sorted(info["pairs"].items()))
    deciders = ", ".join(
        f"{part['pairs']:,} {'by people' if who == 'human' else 'with a model'} ({100 * part['share']:.0f} %)"
        for who, part in info["decided_by"].items()
    )
    left_out = ", ".join(f"{count:,} {reason}" for reason, count in info["excluded"].items())
    lines += [
        f"{splits}; of all, {info['negatives']:,} say that nothing is there",
        f"decided: {deciders}",
        f"left out, see excluded.jsonl: {left_out or 'none'}",
    ]
    zero_shot = ", ".join(
        f"{len(phrases):,} of {split}" for split, phrases in info["zero_shot_phrases"].items() if phrases
    )
    lines += [f"phrases that train does not have, see export.json: {zero_shot}"] if zero_shot else []
    return lines + _describe_copies(report.copied)


def describe_hand_out(engine: Path, report: "HandOutReport") -> list[str]:
    """Describe in lines what was handed out, and how it comes back."""
    return [
        f"saved {report.folder}: coco.json; pairs that wait for correction: {report.pairs:,};"
        f" images: {report.images:,}; masks accepted so far: {report.masks:,}",
        f"afterwards: sam3-agent engine take {engine} FILE --by NAME",
    ]


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
        f"kept from the trainer, of the split test: {report.held_out:,}",
    ]
    return lines + _describe_copies(report.copied)


def _describe_copies(copied: int) -> list[str]:
    text = f"saved upright in images/, because plain readers see other pixels: {copied:,} images"
    return [text] if copied else []
