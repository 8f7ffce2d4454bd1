"""Export a data engine into a new folder: whole, or not at all."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from engine.errors import EngineError
from engine.exports.final_pairs import MADE_BY, FinalPairs
from engine.exports.folders import fill_new_folder
from engine.states import StatePolicy
from engine.store.changes import LogMoment
from engine.store.store import NO_POLICY, EngineStore

ExportForm = Literal["saco", "coco", "parquet", "webdataset", "verifier"]
FORMS: tuple[ExportForm, ...] = get_args(ExportForm)
MANIFEST = "export.json"
"""What an export says of itself, in every form."""


@dataclass(frozen=True)
class ExportReport:
    """What was written."""

    folder: Path
    files: tuple[str, ...]
    info: Mapping[str, Any]
    """As the manifest has it."""
    copied: int = 0
    """Images saved anew, because a plain reader would see other pixels."""


def export_engine_labels(
    store: EngineStore,
    folder: Path,
    form: ExportForm,
    *,
    policy: StatePolicy = NO_POLICY,
    with_images: bool = False,
    on_note: Callable[[str], None] = lambda text: None,
) -> ExportReport:
    """Write what is final.

    Args:
        store: The data engine.
        folder: Missing or empty; whole at the end, or as it was.
        form: What is written.
        policy: What judgements of models are worth; by default, people's count alone. For "verifier" they always do.
        with_images: For "parquet": whether rows hold image files, or their paths.
        on_note: Called with a sentence about each image that cannot be read.

    Returns:
        What was written.

    Raises:
        EngineError: The folder holds something or cannot be written, nothing is final, or the labels do not fit the
            form.
    """
    with fill_new_folder(folder) as unfinished:
        if form == "verifier":
            report = _export_examples(store, folder, unfinished, on_note)
        else:
            with_trail = form in ("parquet", "webdataset")
            pairs = FinalPairs(store, folder, unfinished, policy=policy, with_trail=with_trail, on_note=on_note)
            names = _write_form(pairs, unfinished, form, with_images=with_images)
            info = {**pairs.build_info(form), "zero_shot_phrases": pairs.list_zero_shot()}
            pairs.remove_spool()
            report = ExportReport(folder, tuple(names), info, pairs.copied)
        (unfinished / MANIFEST).write_text(json.dumps(dict(report.info), indent=1, ensure_ascii=False) + "\n", "utf-8")
    return report


def _write_form(pairs: FinalPairs, folder: Path, form: ExportForm, *, with_images: bool) -> list[str]:
    match form:
        case "saco":
            from engine.exports.formats.saco import write_saco

            return write_saco(pairs, folder)
        case "coco":
            from engine.exports.formats.coco import write_coco

            return write_coco(pairs, folder)
        case "parquet":
            from engine.exports.formats.parquet import write_parquet

            return write_parquet(pairs, folder, with_images=with_images)
    from engine.exports.formats.webdataset import write_webdataset

    return write_webdataset(pairs, folder)


def _export_examples(
    store: EngineStore, folder: Path, unfinished: Path, on_note: Callable[[str], None]
) -> ExportReport:
    from engine.exports.formats.verifier import VerifierExport

    moment = LogMoment(store.database)
    export = VerifierExport(store, unfinished, position=moment.position)
    names = export.write_files()
    for text in export.unreadable.values():
        on_note(text)
    if not names:
        raise EngineError(
            f"{store.folder} has no answer of a person to learn from yet; judge some pairs to the end with:"
            f" sam3-agent engine review {store.folder}"
        )
    moment.check_masks()
    info = {"made_by": MADE_BY, "format": "verifier", "log_position": moment.position}
    counts = {"examples": dict(sorted(export.examples.items())), "kinds": dict(sorted(export.kinds.items()))}
    return ExportReport(folder, tuple(names), {**info, **counts, "decided_by": "human"})
