"""`engine fit`: learn from what people have said, and find out which labels need no person."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from agent.cli.options.path_parameters import path_argument
from agent.cli.terminal.console import print_notes, report_user_errors, require_extra
from agent.cli.terminal.streams import print_line
from agent.core.errors import UsageError

if TYPE_CHECKING:
    from engine.verifiers.keeping import StageRoute


def fit_stage_of_engine(
    folder: Annotated[Path, path_argument(help="Folder of the data engine.")],
    stage: Annotated[
        Literal["mv", "ev"], typer.Option(help="mv: is a mask right? ev: is everything covered? Fit mv first.")
    ],
    verifier: Annotated[
        str, typer.Option(help="fitted: fit it anew. Any other that has judged, e.g. signals: set its thresholds.")
    ] = "fitted",
    quality: Annotated[
        float, typer.Option(help="What the lower 95 % bound of the precision of labels without a person must reach.")
    ] = 0.97,
    slips: Annotated[float, typer.Option(help="The share of errors that your people let pass.")] = 0.05,
) -> None:
    """Fit a verifier on what people have said in FOLDER, and set the thresholds above which nobody need look.

    Thresholds rest on items that were drawn at random; the risky ones, which come first, do not count for them. Judge
    anew then: sam3-agent engine run FOLDER --verifier fitted
    """
    with report_user_errors(interrupted="nothing was changed"), require_extra("parquet", "pyarrow"):
        if not 0 < quality < 1:
            raise UsageError(f"--quality takes a share above 0 and below 1, e.g. 0.97, got {quality:g}")
        if not 0 <= slips < 1:
            raise UsageError(f"--slips takes a share from 0 to below 1, e.g. 0.05, got {slips:g}")
        from engine.quality.fitting import fit_engine, fit_route
        from engine.store.store import EngineStore

        with EngineStore.open(folder, task="work") as store:
            if verifier == "fitted":
                found = fit_engine(store, stage, quality=quality, slips=slips)
                calibration = "calibrated" if found.is_calibrated else "not calibrated, which needs 501 labels"
                print_line(f"{stage}: fitted on {found.labels:,} labels, {found.wrong:,} rejections; {calibration}")
                route = found.route
            else:
                route = fit_route(store, stage, verifier, quality=quality, slips=slips)
        print_notes(list_limits(route))
        for line in describe_route(route):
            print_line(line)


def describe_route(route: "StageRoute") -> list[str]:
    """Say which items need no person."""
    lines = []
    for word, threshold, taken, bound in (
        ("accepted", route.accept, route.accept_taken, route.accept_bound),
        ("rejected", route.reject, route.reject_taken, route.reject_bound),
    ):
        if threshold is None:
            lines.append(f"{route.stage}: nothing is {word} without a person")
        else:
            side = "from" if word == "accepted" else "up to"
            lines.append(
                f"{route.stage}: {word} without a person {side} {threshold:.3f}: {taken:,} of {route.sample:,} random"
                f" items, precision at least {bound:.3f}"
            )
    return lines


def list_limits(route: "StageRoute") -> list[str]:
    """Say why less is automatic than might be."""
    from engine.quality.binomial import count_needed
    from engine.quality.thresholds import LEAST_DOMAIN_LABELS

    needed, notes = count_needed(route.quality), []
    if route.sample < needed:
        notes.append(
            f"{route.sample:,} labelled items of stage {route.stage!r} were drawn at random; a bound of"
            f" {route.quality:g} needs {needed:,} at least"
        )
    if not route.sources:
        notes.append(f"no source of images has {LEAST_DOMAIN_LABELS} labels yet: everything goes to people until then")
    return notes
