"""`queries.jsonl`: one's own queries, one a line."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from evals.datasets.formats.files import find_file
from evals.datasets.formats.own.entry import Box, OwnEntry, OwnFile, are_shares
from evals.datasets.formats.own.masks import make_mask_reader
from evals.errors import DatasetError
from evals.metrics.inputs.boxes import MAX_SIDE
from sam3_tool.masks.checks import is_number, shorten_value
from sam3_tool.system.files import decode_text

KEYS = ("image", "query", "mask", "boxes", "id")
OTHER_NAMES = {
    "image": ("file_name", "filename", "file", "path", "img", "picture"),
    "query": ("caption", "text", "prompt", "phrase", "question", "expression", "sentence"),
    "mask": ("segmentation", "masks", "mask_path", "segm"),
    "boxes": ("bbox", "bboxes", "box"),
}
"""What other formats call the same: where a line has one of these instead of its key, it was not meant to be left out.
"""


def read_lines(file: Path) -> OwnFile:
    """Read the file. Raises DatasetError, which names the line."""
    try:
        content = decode_text(file.read_bytes())
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"own data: {file} cannot be read as UTF-8 text ({error})") from error
    # not str.splitlines, which also splits at U+2028 inside a query
    lines = [(number, line) for number, line in enumerate(content.split("\n"), start=1) if line.strip()]
    values = [(number, _parse_object(_name_line(file, number), line)) for number, line in lines]
    entries = tuple(_parse_entry(file, number, value) for number, value in values)
    return OwnFile(entries, tuple(_describe_unread_keys([value for _, value in values])))


def _name_line(file: Path, number: int) -> str:
    return f"own data: {file}, line {number}"


def _describe_unread_keys(values: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    unread = Counter(key for value in values for key in value if key not in KEYS)
    if unread:
        yield f"Not read are the keys {', '.join(unread)}; known are {', '.join(KEYS)}."


def _parse_object(name: str, line: str) -> Mapping[str, Any]:
    try:
        value = json.loads(line, object_pairs_hook=lambda pairs: _make_object(name, pairs))
    except DatasetError:
        raise
    except (ValueError, RecursionError) as error:
        raise DatasetError(f"{name} is not JSON ({error}); every line must be one object, without comments") from error
    if not isinstance(value, dict) or not isinstance(value.get("boxes", []), list | None):
        raise DatasetError(
            f'{name} must be an object such as {{"image": "a.jpg", "query": "the cup"}}, found {line[:80]}'
        )
    _check_keys(name, value)
    return value


def _make_object(name: str, pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        twice = next(key for key, number in Counter(key for key, _ in pairs).items() if number > 1)
        raise DatasetError(f"{name} has the key {twice!r} twice; write it once")
    return made


def _check_keys(name: str, value: Mapping[str, Any]) -> None:
    """Raises DatasetError for a key that was meant to be one of ours, which the line does not have."""
    absent = [key for key in KEYS if key not in value]
    for key in value:
        if key in KEYS:
            continue
        meant = [known for known in absent if key.lower() in (known, *OTHER_NAMES.get(known, ()))]
        if meant := meant or get_close_matches(key.lower(), absent, n=1, cutoff=0.75):
            raise DatasetError(f"{name} has the key {key!r}, which is not read; did you mean `{meant[0]}`?")


def _parse_entry(file: Path, number: int, value: Mapping[str, Any]) -> OwnEntry:
    name = _name_line(file, number)
    image_path = _find_named(name, file.parent, _get_text(name, value, "image"))
    mask = None if value.get("mask") is None else _find_named(name, file.parent, _get_text(name, value, "mask"))
    return OwnEntry(
        id=_get_id(name, value) or f"{number}-{image_path.stem}",
        query=_get_text(name, value, "query"),
        image_path=image_path,
        mask=None if mask is None else make_mask_reader(mask, image_path),
        mask_file=mask,
        boxes=None if value.get("boxes") is None else tuple(_parse_box(name, box) for box in value["boxes"]),
        place=f"line {number}",
    )


def _find_named(name: str, folder: Path, text: str) -> Path:
    found = find_file(folder, text)
    if found is None:
        raise DatasetError(f"{name}: there is no file {folder / text}")
    return found


def _get_id(name: str, value: Mapping[str, Any]) -> str:
    id = value.get("id")
    if id is not None and (isinstance(id, bool) or not isinstance(id, str | int) or id == ""):
        raise DatasetError(f"{name}: `id` must be a text or a whole number, found {shorten_value(id)}")
    return "" if id is None else str(id)


def _get_text(name: str, value: Mapping[str, Any], key: str) -> str:
    text = value.get(key)
    if not isinstance(text, str) or not text.strip():
        raise DatasetError(f"{name}: `{key}` must be a text, found {shorten_value(text)}")
    return text.strip()


def _parse_box(name: str, box: Any) -> Box:
    numbers = isinstance(box, list) and len(box) == 4 and all(is_number(side) for side in box)
    if not numbers or not all(abs(side) < MAX_SIDE for side in box) or not (box[0] < box[2] and box[1] < box[3]):
        raise DatasetError(
            f"{name}: a box is x0, y0, x1, y1 in pixels with x0 < x1 and y0 < y1, found {shorten_value(box)}"
        )
    if are_shares(box):
        raise DatasetError(
            f"{name}: a box is x0, y0, x1, y1 in pixels, found shares of the image, {shorten_value(box)}"
        )
    return (float(box[0]), float(box[1]), float(box[2]), float(box[3]))
