"""The shared format of RefCOCO and gRefCOCO: a list of refs over COCO's instances and images."""

import pickle
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

from evals.datasets.formats.files import DataSource, name_file
from evals.errors import DatasetError, ScoringError
from evals.metrics.inputs.entries import Entry, get_field, get_key, require_object
from sam3_tool.masks.checks import shorten_value
from sam3_tool.system.files import decode_json


@dataclass(frozen=True)
class Sentence:
    """One expression about one image."""

    id: str
    text: str
    image: Entry
    """Entry of `instances.json`."""
    annotations: Sequence[Entry]
    """The objects that are meant; empty for no target."""
    path: Path
    """File of the image."""
    of: str
    """Name of the data set."""
    instances: Path
    """The file of `image` and `annotations`, for messages."""


@dataclass(frozen=True, eq=False)
class Refs:
    """A split's sentences, in the order of the file, and the files they are from."""

    files: Sequence[Path]
    sentences: Sequence[Sentence]


def read_refs(source: DataSource, data: Path, file: Path, split: str, image_folder: str | Path | None) -> Refs:
    """`file`: the refs; `instances.json` lies beside it. Raises DatasetError."""
    instances = file.parent / "instances.json"
    refs = _select_split(_load_refs(source, file), split)
    if not refs:
        raise source.build_broken_error(file, f"has no refs of the split {split!r}")
    images, annotations = source.parse_json(instances, _index_instances)
    with name_file(instances, source.name):
        named = _get_file_name(_get_image(source, file, images, refs[0]))
    folder = source.find_image_folder([Path(image_folder)] if image_folder else _list_image_folders(data), named)
    try:
        with name_file(file, source.name):
            sentences = list(_build_sentences(refs, images, annotations, folder, source.name, instances))
    except (KeyError, TypeError, AttributeError) as error:
        raise source.build_broken_error(file, f"does not fit {instances} ({type(error).__name__}: {error})") from error
    return Refs([file, instances], sentences)


def _list_image_folders(data: Path) -> list[Path]:
    roots = [data, data.parent]
    return [
        root / folder for root in roots for folder in ("images/mscoco/images/train2014", "train2014", "images", ".")
    ]


def _index_instances(content: Any) -> tuple[Mapping[Any, Entry], Mapping[Any, Entry]]:
    """Images and annotations by id."""
    images, annotations = (
        {
            get_key(entry, "id", f"`{key}` {place}"): require_object(entry, f"`{key}` {place}")
            for place, entry in enumerate(content[key])
        }
        for key in ("images", "annotations")
    )
    return images, annotations


def _get_image(source: DataSource, file: Path, images: Mapping[Any, Entry], ref: Entry) -> Entry:
    try:
        return images[ref["image_id"]]
    except (KeyError, TypeError) as error:
        raise source.build_broken_error(file, f"names an image that instances.json does not have ({error})") from error


def _get_file_name(image: Entry) -> str:
    return str(get_field(image, "file_name", lambda: f"image {image['id']!r}"))


def _load_refs(source: DataSource, file: Path) -> list[Any]:
    try:
        content = file.read_bytes()
        refs = decode_json(content) if file.suffix == ".json" else _PlainUnpickler(BytesIO(content)).load()
    except OSError as error:
        raise source.build_missing_error(f"{file} cannot be read ({error.strerror})", "a file of refs") from error
    except _UNREADABLE as error:
        raise source.build_broken_error(file, f"cannot be read ({error})") from error
    if not isinstance(refs, list) or not all(isinstance(ref, dict) and _has_split(ref) for ref in refs):
        raise source.build_broken_error(file, "is not a list of refs with a `split`")
    return refs


_UNREADABLE = (
    *(ValueError, pickle.UnpicklingError, EOFError, IndexError, KeyError),
    *(TypeError, AttributeError, OverflowError, MemoryError, RecursionError),
)
"""What a damaged pickle, which is a program for a stack machine, raises."""


def _has_split(ref: Entry) -> bool:
    return isinstance(ref.get("split"), str)


class _PlainUnpickler(pickle.Unpickler):
    """Python 2's lists, dictionaries, texts and numbers, and nothing that would run code."""

    def __init__(self, file: BytesIO) -> None:
        super().__init__(file, encoding="latin1")

    def find_class(self, module: str, name: str) -> Any:
        raise pickle.UnpicklingError(f"it holds a {module}.{name}, which a list of refs does not")


def _select_split(refs: Sequence[Entry], split: str) -> list[Entry]:
    """Select a split as the official code does.

    testA and testB go by their last letter, test by being in the name, others by the name.
    """
    if split in ("testA", "testB", "testC"):
        return [ref for ref in refs if split[-1] in ref["split"]]
    if split == "test":
        return [ref for ref in refs if "test" in ref["split"]]
    return [ref for ref in refs if ref["split"] == split]


def _build_sentences(
    refs: Sequence[Entry],
    images: Mapping[Any, Entry],
    annotations: Mapping[Any, Entry],
    folder: Path,
    of: str,
    instances: Path,
) -> Iterator[Sentence]:
    for ref in refs:
        image = images[ref["image_id"]]
        ids = ref["ann_id"] if isinstance(ref["ann_id"], list) else [ref["ann_id"]]
        targets = [] if ids == [-1] else [_find_entry(annotations, number, ref) for number in ids]
        for sentence in ref["sentences"]:
            number = f"{ref['ref_id']}-{sentence['sent_id']}"
            if not isinstance(sentence["sent"], str):
                raise ScoringError(f"sentence {number}: `sent` must be a text, found {shorten_value(sentence['sent'])}")
            text = sentence["sent"].strip().lower()
            with name_file(instances, of):
                path = folder / _get_file_name(image)
            yield Sentence(number, text, image, targets, path, of, instances)


def _find_entry(annotations: Mapping[Any, Entry], id: Any, ref: Entry) -> Entry:
    try:
        return annotations[id]
    except (KeyError, TypeError):
        raise ScoringError(
            f"ref {ref['ref_id']!r} is of annotation {shorten_value(id)}, which instances.json does not have"
        ) from None


def check_split(source: DataSource, split: str, splits: Sequence[str]) -> None:
    if split not in splits:
        raise DatasetError(f"{source.name} has the splits {', '.join(splits)}, not {split!r}")
