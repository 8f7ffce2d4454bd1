"""Texts that a person gives beside images: phrases, what pages say of images, guidelines."""

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine.errors import EngineError
from engine.phrases.word_lists import read_text_file
from sam3_tool.system.files import decode_json

MAX_BYTES = 512 * 2**20
NAME_COLUMNS = ("file_name", "file", "image", "path", "name")
TEXT_COLUMNS = ("alt_text", "alt", "text", "caption")


def read_alt_texts(path: Path) -> dict[str, str]:
    """Read what pages or a catalogue say of images.

    Args:
        path: A JSON file {"a.png": "a red cup", …}; or a CSV or TSV file with a column of names (`file_name`) and one
            of texts (`alt_text`).

    Returns:
        By name of the file, or by its path within the folder of images, as it stands there.

    Raises:
        EngineError: The file cannot be read, or holds something else.
    """
    kind = path.suffix.casefold()
    if kind not in (".json", ".csv", ".tsv"):
        raise EngineError(f"{path} ends in {path.suffix or 'nothing'!r}; give alt-texts as a .json, .csv or .tsv file")
    text = read_text_file(path, MAX_BYTES)
    return _parse_json(path, text) if kind == ".json" else _parse_table(path, text, "\t" if kind == ".tsv" else ",")


def _parse_json(path: Path, text: str) -> dict[str, str]:
    try:
        value: Any = decode_json(text.encode())
    except (ValueError, RecursionError) as error:
        raise EngineError(f"{path} is no JSON ({error}); expected {{'a.png': 'a red cup'}}") from error
    if not isinstance(value, dict) or not all(isinstance(each, str) for each in value.values()):
        raise EngineError(f"{path} holds something else than texts by file name; expected {{'a.png': 'a red cup'}}")
    return value


def _parse_table(path: Path, text: str, delimiter: str) -> dict[str, str]:
    rows = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        columns = list(rows.fieldnames or ())
        name = next((column for column in columns if column.strip().casefold() in NAME_COLUMNS), None)
        said = next((column for column in columns if column.strip().casefold() in TEXT_COLUMNS), None)
        if name is None or said is None:
            raise EngineError(
                f"{path} has the columns {', '.join(columns) or 'none'}; expected one named file_name and one named"
                " alt_text"
            )
        return {row[name]: row[said] or "" for row in rows if row[name]}
    except csv.Error as error:
        raise EngineError(f"{path} is no table ({error}); expected the columns file_name and alt_text") from error


def find_alt_text(texts: Mapping[str, str], inner: str) -> str:
    """Return what is said of an image, by its path within the folder or by its name alone; "" where nothing is.

    >>> find_alt_text({"kitchen/a.png": "a cup", "b.png": "a hat"}, "kitchen/b.png")
    'a hat'
    """
    return texts.get(inner) or texts.get(inner.rpartition("/")[2], "")
