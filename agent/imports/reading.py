"""Reading files of any kind that holds masks: which kind it is follows from what is in it."""

import json
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any
from zipfile import BadZipFile, ZipFile

from agent.imports import coco, label_studio, yolo
from agent.imports.base import ImportedImage, ImportFileError

MAX_MEMBERS = 20_000
"""Files that an archive may hold."""
MAX_TEXT_BYTES = 64 * 2**20
"""Bytes of all labels of an archive."""
SUFFIXES = (".json", ".txt", ".yaml", ".yml", ".zip")
"""Of files that may hold masks."""

UNREADABLE = (BadZipFile, OSError, KeyError, TypeError, AttributeError, ValueError, RuntimeError, zlib.error)
"""What readers raise for a file that is damaged, encrypted, or not what it seems to be."""


def read_files(paths: list[tuple[str, Path]]) -> tuple[list[ImportedImage], list[str]]:
    """Read files that hold masks. Labels of YOLO take their classes from a `data.yaml` or `classes.txt` among them.

    Args:
        paths: The name of each file, perhaps with folders before it, and where it lies.

    Returns:
        The images that they name, and a sentence for each file that cannot be read.
    """
    names = _find_names(paths)
    images, problems = [], []
    for name, path in paths:
        try:
            images += read_file(name, path, names)
        except ImportFileError as error:
            problems.append(str(error))
    return images, problems


def read_file(name: str, path: Path, names: dict[int, str]) -> list[ImportedImage]:
    """Read one file: a COCO file, tasks of Label Studio, labels of YOLO, or a ZIP of these labels.

    Args:
        name: The file's name.
        path: Where it lies.
        names: The classes of YOLO by number.

    Returns:
        The images that it names.

    Raises:
        ImportFileError: It is none of these, or damaged.
    """
    try:
        match PurePosixPath(name).suffix.lower():
            case ".json":
                return _read_json(json.loads(path.read_bytes()))
            case ".zip":
                return [*_read_archive(path)]
            case ".txt" if not _is_class_list(name):
                return [yolo.read_labels(path.read_text("utf-8"), name, names)]
            case ".yaml" | ".yml":
                yolo.read_names(path.read_text("utf-8"))
                return []
            case ".txt":
                return []
        raise ValueError("it is neither COCO, YOLO, Label Studio nor a conversation of this program")
    except RecursionError:
        raise ImportFileError(f"{name} cannot be read: it is nested too deep") from None
    except UNREADABLE as error:
        raise ImportFileError(f"{name} cannot be read: {' '.join(str(error).split()) or 'it is damaged'}") from error


def _read_json(content: Any) -> list[ImportedImage]:
    if coco.is_coco(content):
        return coco.read_coco(content)
    if label_studio.is_label_studio(content):
        return label_studio.read_label_studio(content)
    raise ValueError("the JSON in it is neither COCO, tasks of Label Studio nor a conversation of this program")


def _is_class_list(name: str) -> bool:
    return PurePosixPath(name).name.lower() in ("classes.txt", "obj.names", "readme.txt", "train.txt", "val.txt")


def _find_names(paths: list[tuple[str, Path]]) -> dict[int, str]:
    for name, path in paths:
        kind = PurePosixPath(name)
        if kind.suffix.lower() in (".yaml", ".yml") or kind.name.lower() == "classes.txt":
            with suppress(OSError, ValueError):  # `read_file` says what is wrong with it
                text = path.read_text("utf-8")
                return dict(enumerate(text.split("\n"))) if kind.suffix == ".txt" else yolo.read_names(text)
    return {}


def _read_archive(path: Path) -> Iterator[ImportedImage]:
    """The labels of a YOLO data set in a ZIP, or the JSON files in it. Nothing is written to the disk."""
    with ZipFile(path) as archive:
        texts = _read_texts(archive)
        described = next((text for name, text in texts.items() if name.lower().endswith((".yaml", ".yml"))), "")
        names = yolo.read_names(described)
        found = False
        for name, text in texts.items():
            if name.lower().endswith(".json"):
                yield from _read_json(json.loads(text))
            elif name.lower().endswith(".txt") and not _is_class_list(name):
                yield yolo.read_labels(text, name, names)
            else:
                continue
            found = True
        if not found:
            raise ValueError("the archive holds neither labels of YOLO nor JSON")


def _read_texts(archive: ZipFile) -> dict[str, str]:
    members = archive.infolist()
    if len(members) > MAX_MEMBERS:
        raise ValueError(f"the archive holds {len(members):,} files, expected up to {MAX_MEMBERS:,}")
    wanted = [member for member in members if PurePosixPath(member.filename).suffix.lower() in SUFFIXES[:-1]]
    if (size := sum(member.file_size for member in wanted)) > MAX_TEXT_BYTES:
        raise ValueError(f"its labels are {size / 2**20:.0f} MiB, expected up to {MAX_TEXT_BYTES // 2**20}")
    return {member.filename: archive.read(member).decode("utf-8") for member in wanted}
