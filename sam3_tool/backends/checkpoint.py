"""Finding and reading a SAM 3 checkpoint in transformers' format."""

import importlib.resources
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any

import torch
from huggingface_hub import snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
)
from transformers import Sam3Model, Sam3Processor
from transformers.utils import logging as transformers_logging

from sam3_tool.backends import CheckpointError

EMBEDDED = "tiny"

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_FILES = ["*.json", "*.safetensors", "*.txt"]
_settings = Lock()  # protects transformers' verbosity and progress bars, which are settings of the process


def locate(name_or_path: str | Path) -> Path:
    """The folder of a checkpoint; what is on the Hugging Face hub is downloaded first, with a progress bar.

    Raises `CheckpointError` if there is no such checkpoint, or no access to it.
    """
    name = str(name_or_path)
    folder = Path(name).expanduser()
    if name == EMBEDDED:
        return Path(str(importlib.resources.files("sam3_tool") / EMBEDDED))
    if folder.is_dir():
        return folder
    if _HUB_ID.fullmatch(name) and not folder.exists():
        return _download(name)
    found = "not a folder" if folder.exists() else "no such folder"
    raise CheckpointError(
        f"SAM 3 checkpoint {name!r}: {found}; expected 'tiny' (embedded, works now), 'facebook/sam3', "
        "or a folder with config.json and model.safetensors"
    )


def read(folder: Path, dtype: torch.dtype) -> tuple[Sam3Model, Sam3Processor]:
    """Model (in evaluation mode, on the CPU) and processor. Nothing is printed.

    Raises `CheckpointError` if the folder does not hold all of a SAM 3 detector.
    """
    try:
        with _quiet():
            model, report = Sam3Model.from_pretrained(
                folder, dtype=dtype, use_safetensors=True, local_files_only=True, output_loading_info=True
            )
            processor = Sam3Processor.from_pretrained(folder, local_files_only=True)
    except Exception as error:  # a damaged folder raises whatever its damaged part does
        raise CheckpointError(f"{folder} cannot be read as a SAM 3 checkpoint: {_one_line(error)}. {_TINY}") from error
    missing = sorted(report["missing_keys"])
    if missing:  # transformers would go on with random numbers in their place
        raise CheckpointError(
            f"{folder} is not a whole SAM 3 checkpoint: {len(missing)} weights are missing, e.g. {missing[0]}. {_TINY}"
        )
    return model.eval(), processor


_TINY = "The embedded checkpoint works now: `--sam3 tiny`."


def _download(repository: str) -> Path:
    try:
        return Path(snapshot_download(repository, allow_patterns=_FILES))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{_obstacle(repository, error)} {_advice(repository)}") from error


def _obstacle(repository: str, error: Exception) -> str:
    match error:
        case GatedRepoError():
            return f"{repository} is gated, and this machine has no access to it."
        case RepositoryNotFoundError():
            return f"{repository} is not on the Hugging Face hub, or it is private."
        case LocalEntryNotFoundError() | OfflineModeIsEnabled():
            return f"{repository} is not on this machine, and the Hugging Face hub cannot be reached."
        case _:
            return f"{repository} could not be downloaded: {_one_line(error)}."


def _advice(repository: str) -> str:
    return (
        f"To get it: ask for access at https://huggingface.co/{repository} (free, it takes a moment), "
        f"log in with `hf auth login` or set HF_TOKEN, and try again. {_TINY}"
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """transformers without its progress bar for the weights, and without anything below an error in its log."""
    with _settings:
        verbosity = transformers_logging.get_verbosity()
        hook = transformers_logging.set_tqdm_hook(_no_progress_bar)
        transformers_logging.set_verbosity_error()
        try:
            yield
        finally:
            transformers_logging.set_verbosity(verbosity)
            transformers_logging.set_tqdm_hook(hook)


def _no_progress_bar(factory: Any, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
    return transformers_logging.EmptyTqdm(*args, **options)


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
