"""ConverSeg: what one asks for in conversation (what is safe, what could tip over), one mask a prompt.

`data/human_annotated.jsonl` and `data/sam_seeded.jsonl`, one prompt a line, as they are published. Paths are relative
to the folder of the file, or to the one above:

    {"id": "a1", "image": "images/a.jpg", "mask": "masks/a1.png", "prompt": "what could tip over", "concept": "physics"}

Or `items.json`, which the data engine exports and `eval.py --input_json` takes, as the split "items":

    {"dataset": "mine", "count": 1, "items": [{"id": "a1", "image": "images/a.jpg", "mask": "masks/a1.png",
                                               "prompt": "what could tip over"}]}

The target is where a mask is not black; in a mask with transparency, where it is not transparent.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image

from evals.datasets.formats.files import DataSource, name_file
from evals.datasets.images.masked import MaskedDataset, MaskedQuery, check_queries, find_named
from evals.datasets.loading import dataset_loader
from evals.errors import DatasetError, ScoringError
from evals.metrics.inputs.entries import Entry, get_field, require_list, require_object
from sam3_tool.masks.checks import shorten_value
from sam3_tool.system.files import decode_json, decode_text

SOURCE = DataSource(
    "ConverSeg",
    "huggingface.co/datasets/aadarsh99/ConverSeg",
    "CC BY 4.0 for prompts and masks; the images are under COCO's terms of use",
)
PUBLISHED = {"sam_seeded": 1194, "human_annotated": 493}
ITEMS = "items"


@dataset_loader(splits=[*PUBLISHED, ITEMS])
def load(data: Path, split: str) -> MaskedDataset:
    """`data`: the folder of `data/SPLIT.jsonl` or `items.json`, or the file itself."""
    if split not in (*PUBLISHED, ITEMS):
        raise DatasetError(f"ConverSeg has the splits {', '.join(PUBLISHED)}, and {ITEMS}, not {split!r}")
    name = "items.json" if split == ITEMS else f"{split}.jsonl"
    places = [data] if data.suffix in (".json", ".jsonl") else [data / "data" / name, data / name]
    file = SOURCE.find_first(places, f"the file {name}")
    with name_file(file, SOURCE.name):
        entries = _read_items(file) if split == ITEMS else list(_read_lines(file))
        queries = [_build_query(file, split, place, entry) for place, entry in enumerate(entries)]
    check_queries(SOURCE, file, queries)
    return MaskedDataset("converseg", SOURCE, split, file, queries, read_target, "converseg", PUBLISHED.get(split))


def read_target(image: PIL.Image.Image) -> np.ndarray:
    """bool, (H, W): where the mask is not black, or not transparent."""
    grey = image.getchannel("A") if image.mode in ("RGBA", "LA") else image.convert("L")
    return np.asarray(np.asarray(grey) > 0)


def _read_items(file: Path) -> Sequence[Any]:
    content = require_object(SOURCE.read_json(file), str(file))
    return require_list(get_field(content, "items", str(file)), "`items`")


def _read_lines(file: Path) -> Iterator[Any]:
    """Raises ScoringError for a line that is no JSON."""
    try:
        lines = decode_text(file.read_bytes()).split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise SOURCE.build_broken_error(file, f"cannot be read as text ({error})") from error
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                yield decode_json(line.encode())
            except (ValueError, RecursionError) as error:
                raise ScoringError(f"line {number} is not JSON ({error})") from error


_FILES = ("image", "mask")


def _build_query(file: Path, split: str, place: int, entry: Entry) -> MaskedQuery:
    name = f"prompt {place}"
    require_object(entry, name)
    folders = [file.parent, file.parent.parent]
    image, mask = (find_named(SOURCE, folders, _get_text(entry, key, name), f"{file}, {name}") for key in _FILES)
    id, concept = entry.get("id"), entry.get("concept")
    if id is not None and (isinstance(id, bool) or not isinstance(id, str | int)):
        raise ScoringError(f"{name}: `id` must be a text or a whole number, found {shorten_value(id)}")
    slices: Mapping[str, str] = {"concept": concept} if isinstance(concept, str) and concept else {}
    unique = f"{split}_{place}" if id in (None, "") else str(id)
    return MaskedQuery(unique, _get_text(entry, "prompt", name).strip(), image, mask, slices)


def _get_text(entry: Entry, key: str, name: str) -> str:
    value = get_field(entry, key, name)
    if not isinstance(value, str) or not value.strip():
        raise ScoringError(f"{name}: `{key}` must be a text, found {shorten_value(value)}")
    return value
