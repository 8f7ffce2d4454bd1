"""`engine audit`: have people look at labels that models have decided."""

from pathlib import Path
from typing import Annotated

import typer

from agent.cli.options.path_parameters import path_argument
from agent.cli.terminal.console import report_user_errors, require_extra
from agent.cli.terminal.streams import print_line, print_remark


def audit_engine(
    folder: Annotated[Path, path_argument(help="Folder of the data engine.")],
    sample: Annotated[int, typer.Option(min=1, help="Labels to draw at random.")] = 200,
    seed: Annotated[int, typer.Option(help="Another seed draws others.")] = 0,
) -> None:
    """Draw labels that models have decided, at random, for people to look at in `engine review`.

    One label in fifty is looked at for ever without this. What people say of a label takes its place.
    """
    with report_user_errors(interrupted="nothing was changed"), require_extra("parquet", "pyarrow"):
        from engine.quality.auditing import draw_audit_sample, is_model_label, read_audit_sample
        from engine.store.store import EngineStore
        from engine.verifiers.keeping import load_policy

        with EngineStore.open(folder, task="work") as store:
            policy = load_policy(store)
            drawn = draw_audit_sample(store, policy, sample, seed=seed)
            so_far = len(read_audit_sample(store))
            is_any = so_far or any(is_model_label(summary.decision) for summary in store.iterate_summaries(policy))
    print_line(f"{len(drawn):,} labels of models were drawn for people to look at; {sample:,} were asked for")
    if not is_any:
        print_remark("note: models have decided nothing yet; the thresholds of `engine fit` let them")
    elif len(drawn) < sample:
        print_remark(f"note: no more labels of models are left to draw; {so_far:,} were drawn so far")
