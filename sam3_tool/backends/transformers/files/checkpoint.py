"""Finding the files of a SAM 3 checkpoint. Quick to fail: neither torch nor transformers is loaded for it."""

import errno
import importlib.resources
import json
import re
from collections.abc import Collection
from contextlib import suppress
from functools import cache
from hashlib import sha256
from pathlib import Path

from huggingface_hub import hf_hub_download, snapshot_download
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
)

from sam3_tool.backends.catalog import (
    CONFIGURATION,
    EFFICIENT_NAME,
    EFFICIENT_REPOSITORY,
    PROCESSOR,
    TOKENIZER,
    WORKS_NOW,
    find_entry,
    list_repositories,
    suggest_name,
)
from sam3_tool.backends.transformers.files.architectures import TRACKERS, describe_other_model, read_model_type
from sam3_tool.backends.transformers.files.broken_weights import MOST_HEADER_BYTES, check_json_file, check_weight_file
from sam3_tool.errors import CheckpointError, PathError
from sam3_tool.network.http_environment import describe_http_fault
from sam3_tool.probability import ESTIMATOR_FILE
from sam3_tool.system.paths import describe_missing_hub_home, expand_path, is_folder

EMBEDDED_NAME = "tiny"
REFINER_FILE = "mask_refiner.safetensors"
"""Weights that refine masks in videos, beside those of SAM 3: see `video.refinement`."""

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_HUB_PAGE = re.compile(rf"https?://huggingface\.co/({_HUB_ID.pattern})(?:/(?:resolve|blob)/main(/[\w./-]+))?")
_FILES = ["*.json", "*.safetensors", "*.txt"]
_NATIVE_ENDINGS = (".pt", ".pth", ".safetensors")
"""Of files in which native names are looked for. A file that is named itself may end otherwise."""
_FILE_ENDINGS = (*_NATIVE_ENDINGS, ".bin", ".ckpt")
"""What ends so is a file that is not there, and no repository."""
_INDEX, _WHOLE = "model.safetensors.index.json", "model.safetensors"
_TOKENIZER_FILES = ["tokenizer.json", "tokenizer_config.json", "vocab.json", "merges.txt", "special_tokens_map.json"]
_TOKENIZERS = ("facebook/sam3", "facebook/sam3.1", "openai/clip-vit-base-patch32")
"""Repositories with CLIP's tokenizer. The last may be downloaded by anybody."""


def locate_checkpoint(name_or_path: str | Path) -> Path:
    """Return the files of a checkpoint. What is on the Hugging Face hub is downloaded first, with a progress bar.

    Returns:
        A folder in transformers' layout, or one file with native names such as `sam3.pt`.

    Raises:
        CheckpointError: There is no such checkpoint, or no access to it.
    """
    name = str(name_or_path)
    try:
        path = expand_path(name)
    except PathError as error:
        if page := _HUB_PAGE.match(name):
            written = page[1] + (page[2] or "")
            raise CheckpointError(f"SAM 3 checkpoint {name!r} is a page; write {written!r}. {WORKS_NOW}") from error
        raise CheckpointError(f"SAM 3 checkpoint {name!r}: {error}") from error
    if name == EMBEDDED_NAME:
        return Path(str(importlib.resources.files("sam3_tool") / EMBEDDED_NAME))
    try:
        path.stat()
        return _choose_weights(path) if is_folder(path) else path
    except (FileNotFoundError, NotADirectoryError):
        pass
    except OSError as error:
        raise CheckpointError(
            f"SAM 3 checkpoint {name!r} cannot be read ({error.strerror}); make it, and the folders that it lies in, "
            f"readable for this user. {WORKS_NOW}"
        ) from error
    if _HUB_ID.fullmatch(name) and path.suffix not in _FILE_ENDINGS:
        return _choose_weights(_download_checkpoint(name))
    if repository := next((known for known in list_repositories() if name.startswith(f"{known}/")), ""):
        return _download_file(repository, name.removeprefix(f"{repository}/"))
    raise CheckpointError(
        f"SAM 3 checkpoint {name!r}: no such folder or file{suggest_name(name)}; expected a name that `sam3-agent "
        f"models` lists, a folder with config.json and model.safetensors, or an official .pt file. {WORKS_NOW}"
    )


def _choose_weights(folder: Path) -> Path:
    """Return the folder if it is in transformers' layout, or else the one file of weights in it."""
    if (folder / _INDEX).exists():
        return _check_companions(_check_index(folder))
    whole = folder / _WHOLE
    if whole.exists():
        check_weight_file(whole)
        return whole if _has_native_names(whole) else _check_companions(folder)
    files = _list_native_files(folder)
    if len(files) == 1:
        return files[0]
    if lost := [name for name in (_WHOLE, "config.json") if (folder / name).is_symlink() and not files]:
        raise CheckpointError(
            f"{folder} is only a part of a checkpoint: {lost[0]} is a link to a file that is not there, as in a cache"
            f" of the Hugging Face hub that was copied without its `blobs`; copy it as a whole. {WORKS_NOW}"
        )
    inner = [] if files else [*folder.glob(f"*/{_WHOLE}"), *folder.glob(f"snapshots/*/{_WHOLE}")]
    if inner:
        raise CheckpointError(f"{folder} holds no weights; {inner[0].parent} does: name that. {WORKS_NOW}")
    found = f"several files of weights ({', '.join(file.name for file in files[:4])})" if files else "no weights"
    advice = f"name the one that is meant, such as {files[0]}" if files else "or sam3.pt"
    raise CheckpointError(f"{folder} holds {found}; expected config.json and {_WHOLE}, {advice}. {WORKS_NOW}")


def _check_index(folder: Path) -> Path:
    """Return the folder if all is there that its index names."""
    try:
        names = sorted(set(json.loads((folder / _INDEX).read_text(encoding="utf-8"))["weight_map"].values()))
        missing = [name for name in names if not (folder / name).exists()]
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise CheckpointError(
            f"{folder / _INDEX} cannot be read ({format_one_line(error)}); fetch it again. {WORKS_NOW}"
        ) from error
    if missing:
        raise CheckpointError(
            f"{folder} is only a part of a checkpoint: {_INDEX} names {missing[0]}, which is not there; fetch it "
            f"again. {WORKS_NOW}"
        )
    for name in names:
        check_weight_file(folder / name)
    return folder


def _check_companions(folder: Path) -> Path:
    """Return the folder if all is there that is read beside its weights; a tracker alone has no words to read."""
    for name in (*CONFIGURATION, *TOKENIZER, *PROCESSOR):
        if name.endswith(".json"):
            check_json_file(folder / name)
    missing = _list_missing_files(folder)
    if read_model_type(folder) in TRACKERS:
        missing = [name for name in missing if name not in TOKENIZER]
    if missing:
        raise CheckpointError(
            f"{folder} is only a part of a checkpoint, without {', '.join(missing)}; copy all files of its repository. "
            f"{WORKS_NOW}"
        )
    return folder


def _has_native_names(file: Path) -> bool:
    """Return whether safetensors have the names of `sam3.pt`. What cannot be read has not: loading says it better."""
    with suppress(OSError, ValueError), file.open("rb") as content:
        header = content.read(min(int.from_bytes(content.read(8), "little"), MOST_HEADER_BYTES))
        return any(name.startswith(("detector.", "backbone.vision_backbone.")) for name in json.loads(header))
    return False


def _list_native_files(folder: Path) -> list[Path]:
    try:
        return sorted(file for file in folder.iterdir() if file.suffix in _NATIVE_ENDINGS and file.exists())
    except OSError as error:
        raise CheckpointError(f"{folder} cannot be read ({error.strerror}). {WORKS_NOW}") from error


def list_weight_files(folder: Path) -> list[Path]:
    """Return the files of weights of a folder in transformers' layout: those of its index, or the one file."""
    return [folder / name for name in _list_weight_names(folder)]


@cache
def hash_checkpoint(path: Path, *, leave_out: Collection[str] = (ESTIMATOR_FILE, REFINER_FILE)) -> str:
    """Return the SHA-256 of the names and contents of a checkpoint's files, in hexadecimal.

    `leave_out`: names of files that change no mask of an image.
    """
    patterns = ("*.json", "*.safetensors")
    found = [path] if path.is_file() else sorted(file for pattern in patterns for file in path.glob(pattern))
    files = [file for file in found if file.name not in leave_out]
    digest = sha256()
    for file in files:
        digest.update(f"{file.name}\0{file.stat().st_size}\0".encode())
        with file.open("rb") as content:
            while block := content.read(2**22):
                digest.update(block)
    return digest.hexdigest()


def fetch_tokenizer() -> Path | None:
    """Return a folder with the files of CLIP's tokenizer; None if none is here and the hub cannot be reached.

    2 MB are downloaded if no earlier download has left them.
    """
    for repository, is_local in (*((name, True) for name in _TOKENIZERS), (_TOKENIZERS[-1], False)):
        with suppress(Exception):  # the HTTP library raises errors of many kinds for what the environment holds
            folder = Path(snapshot_download(repository, allow_patterns=_TOKENIZER_FILES, local_files_only=is_local))
            if (folder / "tokenizer.json").exists() or (folder / "vocab.json").exists():
                return folder
    return None


def download_files(repository: str, *, advice: str) -> Path:
    """Return the folder of a repository on the Hugging Face hub, which is downloaded first, with a progress bar.

    A `.pt` file is downloaded only where there are no safetensors. Without the hub it is whatever an earlier download
    has left.

    Raises `CheckpointError` that ends with `advice` if there is nothing.
    """
    try:
        folder = Path(snapshot_download(repository, allow_patterns=_FILES))
        if not any((folder / name).exists() for name in (_INDEX, _WHOLE)):
            folder = Path(snapshot_download(repository, allow_patterns=[*_FILES, "*.pt"]))  # as facebook/sam3.1
        return folder
    except Exception as error:  # the HTTP library raises errors of many kinds for what the environment holds
        if fault := describe_missing_hub_home() or describe_http_fault():
            raise CheckpointError(f"{repository} could not be downloaded: {fault}. {WORKS_NOW}") from error
        raise CheckpointError(f"{describe_obstacle(repository, error)} {advice}") from error


def _download_file(repository: str, file: str) -> Path:
    """Return one file of a repository, which is downloaded first, with a progress bar."""
    name = f"{repository}/{file}"
    try:
        return Path(hf_hub_download(repository, file))
    except LocalEntryNotFoundError as error:
        raise CheckpointError(
            f"{describe_obstacle(name, error)} Download it where https://huggingface.co/{repository} can be reached"
            f"{suggest_name(name)}. {WORKS_NOW}"
        ) from error
    except EntryNotFoundError as error:
        raise CheckpointError(f"{repository} has no file {file}{suggest_name(name)}. {WORKS_NOW}") from error
    except Exception as error:  # the HTTP library raises errors of many kinds for what the environment holds
        if fault := describe_missing_hub_home() or describe_http_fault():
            raise CheckpointError(f"{name} could not be downloaded: {fault}. {WORKS_NOW}") from error
        raise CheckpointError(f"{describe_obstacle(name, error)} {_format_advice(repository)}") from error


def _download_checkpoint(repository: str) -> Path:
    if repository.lower() == EFFICIENT_REPOSITORY.lower():
        raise CheckpointError(
            f"{repository} holds many networks; name a file of it, such as "
            f"`--sam3 {EFFICIENT_NAME.format('tinyvit')}`. {WORKS_NOW}"
        )
    folder = download_files(repository, advice=_format_advice(repository))
    # without the hub, whatever an earlier download has left is taken for the whole
    missing = _list_missing_files(folder)
    if missing and not any(file.suffix == ".pt" for file in _list_native_files(folder)):
        what = f"{', '.join(missing[:3])}{' and more' * (len(missing) > 3)}"
        raise CheckpointError(
            f"{repository} is on this machine only in part, without {what}. {_format_advice(repository)}"
        )
    return folder


def _list_missing_files(folder: Path) -> list[str]:
    """Return what a whole checkpoint has and this folder has not: each file, or its usual name of several."""
    groups: list[tuple[str, ...]] = [
        *(CONFIGURATION, TOKENIZER, PROCESSOR),
        *((name,) for name in _list_weight_names(folder)),
    ]
    # a link whose target is gone does not exist either
    return [group[0] for group in groups if not any((folder / name).exists() for name in group)]


def _list_weight_names(folder: Path) -> list[str]:
    index = folder / _INDEX
    with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
        return sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    return [_WHOLE]


def describe_obstacle(repository: str, error: Exception) -> str:
    """Say in a sentence why a repository could not be downloaded. `error`: of the hub's client, or of the system."""
    match error:
        case GatedRepoError():
            return f"{repository} is gated, and this machine has no access to it."
        case HfHubHTTPError(response=response) if response.status_code == 401 and _is_token_refused(error):
            return (
                f"{repository} could not be downloaded: the Hugging Face hub refuses the token of this machine; make a"
                " new one and `hf auth login`, or take it away (HF_TOKEN, `hf auth logout`): open models need none."
            )
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


def _is_token_refused(error: Exception) -> bool:
    """Whether a token is wrong; the hub answers with the same status where one is lacking."""
    return "invalid" in str(error).lower() and "credentials" in str(error).lower()


def _format_advice(repository: str) -> str:
    entry = find_entry(repository)
    if entry is not None and entry.access == "open":
        return f"Anybody may download it where https://huggingface.co/{repository} can be reached. {WORKS_NOW}"
    if entry is None and (taken := describe_other_model(repository)):
        return f"It is no SAM 3: {taken}. {WORKS_NOW}"
    if entry is None:
        return (
            f"Is the name right{suggest_name(repository)}? If it is, try where https://huggingface.co/{repository} can "
            f"be reached; one that is gated or private needs access, and `hf auth login` or HF_TOKEN. {WORKS_NOW}"
        )
    return (
        f"To get it: ask for access at https://huggingface.co/{repository} (free, it takes a moment), "
        f"log in with `hf auth login` or set HF_TOKEN, and try again. {WORKS_NOW}"
    )


def format_one_line(error: BaseException) -> str:
    """Format an error for a message of one line, cut to 300 letters, without a full stop."""
    return " ".join(str(error).split())[:300].rstrip(".") or type(error).__name__
