"""`sam3-agent models`: every name that `--sam3` knows, its licence, its files, and what it can do."""

import json
from typing import Annotated, Any

import typer

from agent.cli.terminal.console import print_table, report_user_errors
from agent.cli.terminal.streams import print_json, print_line
from sam3_tool.backends.catalog import CATALOG, Access, CatalogEntry, list_missing_files, locate_weights

GATES: dict[Access, str] = {
    "embedded": "no gate, embedded",
    "open": "no gate, open download",
    "gated": "gated: ask its owner for access",
    "key": "needs a key, costs money",
}
CHECKS = {
    "these files": "these files",
    "random weights": "the same layout with random weights; the published files were not at hand",
    "local server": "a server of our own that speaks its protocol; the service itself was not asked",
}


def list_models(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON array.")] = False,
) -> None:
    """List every model that --sam3 takes by name: licence, gate, size, files, abilities, and speed where measured."""
    with report_user_errors():
        models = [describe_model(entry) for entry in CATALOG]
        if as_json:
            print_json(json.dumps(models, indent=2))
            return
        print_table([(model["name"], label, text) for model in models for label, text in _list_rows(model)])
        print_line(
            "--sam3 also takes a folder in transformers' format, an official .pt file, and BACKEND:WEIGHTS of an"
            " installed package."
        )


def describe_model(entry: CatalogEntry) -> dict[str, Any]:
    """Return what is known of a model, and which of its files are on this machine, as plain JSON."""
    files = [{"file": name, "path": None if path is None else str(path)} for name, path in locate_weights(entry)]
    missing = list_missing_files(entry)
    return {
        "name": entry.name,
        "title": entry.title,
        "licence": entry.licence,
        "access": entry.access,
        "bytes": entry.nbytes,
        "is_here": entry.access == "embedded" or (bool(files) and not missing),
        "files": files,
        "missing": missing,
        "can": list(entry.abilities),
        "checked_with": CHECKS[entry.checked],
        "measured": entry.measured,
        "note": entry.note,
    }


def _list_rows(model: dict[str, Any]) -> list[tuple[str, str]]:
    """Return label and text of each line of the report on a model; what is empty has none."""
    size = f", {format_bytes(model['bytes'])}" if model["bytes"] else ""
    rows = [
        ("what", f"{model['title']}; {model['licence']}; {GATES[model['access']]}{size}"),
        ("can", ", ".join(model["can"])),
        *(("file", f"{file['file']}: {file['path'] or 'not on this machine'}") for file in model["files"]),
        ("missing", _format_missing(model)),
        ("checked", model["checked_with"]),
        ("speed", model["measured"] or "not measured"),
        ("note", model["note"]),
    ]
    return [(label, text) for label, text in rows if text]


def _format_missing(model: dict[str, Any]) -> str:
    """Return what lacks beside weights that are here; "" where none are, or where nothing lacks."""
    weights = {file["file"] for file in model["files"] if file["path"] is None}
    beside = [name for name in model["missing"] if name not in weights]
    if not beside or len(weights) == len(model["files"]):
        return ""
    return f"{', '.join(beside)}: the next use downloads the rest"


def format_bytes(count: int) -> str:
    """Format a size of files.

    >>> format_bytes(15_453_032), format_bytes(3_440_000_000)
    ('15 MB', '3.4 GB')
    """
    return f"{count / 1e6:.0f} MB" if count < 1e9 else f"{count / 1e9:.1f} GB"
