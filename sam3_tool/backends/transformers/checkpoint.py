"""Finding the folder of a SAM 3 checkpoint. Quick to fail: neither torch nor transformers is loaded for it."""

import errno
import importlib.resources
import json
import re
from contextlib import suppress
from functools import cache
from hashlib import sha256
from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
)

from sam3_tool.backends.catalog import WORKS_NOW
from sam3_tool.errors import CheckpointError, PathError
from sam3_tool.system.http_environment import describe_http_fault
from sam3_tool.system.paths import describe_missing_hub_home, expand_path, is_folder, is_there

EMBEDDED_NAME = "tiny"

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_FILES = ["*.json", "*.safetensors", "*.txt"]


def locate_checkpoint(name_or_path: str | Path) -> Path:
    """Return the folder of a checkpoint. What is on the Hugging Face hub is downloaded first, with a progress bar.

    Raises `CheckpointError` if there is no such checkpoint, or no access to it.
    """
    name = str(name_or_path)
    try:
        folder = expand_path(name)
    except PathError as error:
        raise CheckpointError(f"SAM 3 checkpoint {name!r}: {error}") from error
    if name == EMBEDDED_NAME:
        return Path(str(importlib.resources.files("sam3_tool") / EMBEDDED_NAME))
    if is_folder(folder):
        return folder
    if _HUB_ID.fullmatch(name) and not is_there(folder):
        return _download_checkpoint(name)
    found = "not a folder" if is_there(folder) else "no such folder"
    raise CheckpointError(
        f"SAM 3 checkpoint {name!r}: {found}; expected a name that `sam3-agent models` lists, a folder with "
        f"config.json and model.safetensors, or an official .pt file. {WORKS_NOW}"
    )


@cache
def hash_checkpoint(folder: Path) -> str:
    """Return the SHA-256 of the names and contents of a checkpoint's files, in hexadecimal."""
    digest = sha256()
    for file in sorted(path for pattern in ("*.json", "*.safetensors") for path in folder.glob(pattern)):
        digest.update(f"{file.name}\0{file.stat().st_size}\0".encode())
        with file.open("rb") as content:
            while block := content.read(2**22):
                digest.update(block)
    return digest.hexdigest()


def download_files(repository: str, *, advice: str) -> Path:
    """Return the folder of a repository on the Hugging Face hub, which is downloaded first, with a progress bar.

    Without the hub it is whatever an earlier download has left.

    Raises `CheckpointError` that ends with `advice` if there is nothing.
    """
    try:
        return Path(snapshot_download(repository, allow_patterns=_FILES))
    except Exception as error:  # the HTTP library raises errors of many kinds for what the environment holds
        if fault := describe_missing_hub_home() or describe_http_fault():
            raise CheckpointError(f"{repository} could not be downloaded: {fault}. {WORKS_NOW}") from error
        raise CheckpointError(f"{_describe_obstacle(repository, error)} {advice}") from error


def _download_checkpoint(repository: str) -> Path:
    folder = download_files(repository, advice=_format_advice(repository))
    # without the hub, whatever an earlier download has left is taken for the whole
    missing = _list_missing_files(folder)
    if missing:
        what = f"{', '.join(missing[:3])}{' and more' * (len(missing) > 3)}"
        raise CheckpointError(
            f"{repository} is on this machine only in part, without {what}. {_format_advice(repository)}"
        )
    return folder


def _list_missing_files(folder: Path) -> list[str]:
    """Return what a whole checkpoint has and this folder has not: each file, or its usual name of several."""
    groups: list[tuple[str, ...]] = [
        ("config.json",),
        ("tokenizer.json", "vocab.json"),
        ("processor_config.json", "preprocessor_config.json"),
        *((name,) for name in _list_weight_files(folder)),
    ]
    # a link whose target is gone does not exist either
    return [group[0] for group in groups if not any((folder / name).exists() for name in group)]


def _list_weight_files(folder: Path) -> list[str]:
    index = folder / "model.safetensors.index.json"
    with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
        return sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    return ["model.safetensors"]


def _describe_obstacle(repository: str, error: Exception) -> str:
    match error:
        case GatedRepoError():
            return f"{repository} is gated, and this machine has no access to it."
        case RepositoryNotFoundError():
            return f"{repository} is not on the Hugging Face hub, or it is private."
        case LocalEntryNotFoundError() | OfflineModeIsEnabled():
            return f"{repository} is not on this machine, and the Hugging Face hub cannot be reached."
        case OSError(errno=errno.EACCES | errno.EPERM | errno.EROFS | errno.ENOSPC | errno.ENOTDIR):
            return (
                f"{repository} could not be downloaded: {error.filename or 'the cache of the Hugging Face hub'} cannot"
                f" be written ({error.strerror}); set HF_HOME to a folder that can be written."
            )
        case _:
            return f"{repository} could not be downloaded: {format_one_line(error)}."


def _format_advice(repository: str) -> str:
    return (
        f"To get it: ask for access at https://huggingface.co/{repository} (free, it takes a moment), "
        f"log in with `hf auth login` or set HF_TOKEN, and try again. {WORKS_NOW}"
    )


def format_one_line(error: BaseException) -> str:
    """Format an error for a message of one line, cut to 300 letters."""
    return " ".join(str(error).split())[:300] or type(error).__name__
