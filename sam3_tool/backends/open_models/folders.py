"""Finding the folders of a detector and of SAM 2.1. Quick to fail: neither torch nor transformers is loaded for it."""

import json
import re
from difflib import get_close_matches
from pathlib import Path
from typing import NamedTuple

from sam3_tool.backends.catalog import WORKS_NOW
from sam3_tool.backends.transformers.files.broken_weights import check_weight_file
from sam3_tool.backends.transformers.files.checkpoint import download_files, format_one_line
from sam3_tool.errors import CheckpointError, PathError
from sam3_tool.system.paths import expand_path, is_folder, is_there

GROUNDING_DINO, OWLV2, SAM2 = (
    "IDEA-Research/grounding-dino-tiny",
    "google/owlv2-base-patch16-ensemble",
    "facebook/sam2.1-hiera-small",
)
"""Repositories on the Hugging Face hub. All are under Apache-2.0, and none is gated."""
DETECTOR_TYPES = {"grounding-dino": "Grounding DINO", "owlv2": "OWLv2"}
"""`model_type` in config.json -> what the model is called."""
TRY_TINY = "The embedded `--sam3 tiny` works now."
SEGMENTER_TYPES = {"sam2": "SAM 2", "sam2_video": "SAM 2"}

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_EXPECTED = (
    "expected `open`, `open:owlv2`, `open:DETECTOR` or `open:DETECTOR,SEGMENTER`, where each is a folder or a name on"
    " the Hugging Face hub"
)
_PROCESSOR_FILES = ("preprocessor_config.json", "processor_config.json")
_TOKENIZER_FILES = ("tokenizer.json", "vocab.txt", "vocab.json")


class OpenFolders(NamedTuple):
    """Where the weights lie."""

    detector: Path
    """Of Grounding DINO or OWLv2."""
    segmenter: Path
    """Of SAM 2 or SAM 2.1."""


def locate_open_models(weights: str) -> OpenFolders:
    """Return the folders of two models. What is on the Hugging Face hub is downloaded first, with a progress bar.

    `weights`: as for `load_open_backend`.

    Raises `CheckpointError` if one is missing, or is another model.
    """
    parts = [part.strip() for part in weights.split(",")] if weights else [GROUNDING_DINO]
    if len(parts) > 2 or not all(parts):
        raise CheckpointError(f"open models {weights!r}: {_EXPECTED}. {WORKS_NOW}")
    detector = OWLV2 if parts[0] == "owlv2" else parts[0]
    segmenter = parts[1] if len(parts) == 2 else SAM2
    return OpenFolders(
        _locate_folder(detector, "a detector", DETECTOR_TYPES, (_PROCESSOR_FILES, _TOKENIZER_FILES)),
        _locate_folder(segmenter, "a segmenter", SEGMENTER_TYPES, (_PROCESSOR_FILES,)),
    )


def read_model_type(folder: Path) -> str:
    """Return `model_type` of the folder's config.json.

    Raises `CheckpointError` if there is none.
    """
    file = folder / "config.json"
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
        return str(config["model_type"])
    except FileNotFoundError:
        raise CheckpointError(
            f"{folder} holds no config.json, so it is no model of transformers. {WORKS_NOW}"
        ) from None
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise CheckpointError(f"{file} cannot be read: {format_one_line(error)}. {WORKS_NOW}") from error


def _locate_folder(name: str, part: str, types: dict[str, str], needed: tuple[tuple[str, ...], ...]) -> Path:
    """Return the folder of one model. `needed`: other names of files of which it needs one each."""
    folder = _find_folder(name, part)
    found = read_model_type(folder)
    if found not in types:
        expected = " or ".join(dict.fromkeys(types.values()))
        raise CheckpointError(f"{name} holds the model {found!r}; {part} is {expected}. {WORKS_NOW}")
    missing = [group[0] for group in needed if not any((folder / file).exists() for file in group)]
    missing += _list_missing_weights(folder)
    if missing:
        raise CheckpointError(
            f"{name} is not a whole {types[found]}: {', '.join(missing[:3])}{' and more' * (len(missing) > 3)} is"
            f" missing; copy all files of its repository. {TRY_TINY}"
        )
    return folder


def _find_folder(name: str, part: str) -> Path:
    try:
        folder = expand_path(name)
    except PathError as error:
        raise CheckpointError(f"{part} {name!r}: {error}") from error
    if is_folder(folder):
        return folder
    if _HUB_ID.fullmatch(name) and not is_there(folder):
        return download_files(name, advice=_format_advice(name))
    found = "not a folder" if is_there(folder) else "no such folder"
    raise CheckpointError(f"{part} {name!r}: {found}; {_EXPECTED}. {WORKS_NOW}")


def _list_missing_weights(folder: Path) -> list[str]:
    index = folder / "model.safetensors.index.json"
    names = ["model.safetensors"]
    if index.exists():
        try:
            names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
        except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
            raise CheckpointError(f"{index} cannot be read: {format_one_line(error)}. {WORKS_NOW}") from error
    for name in names:
        if (folder / name).exists():
            check_weight_file(folder / name)
    return [name for name in names if not (folder / name).exists()]


def _format_advice(repository: str) -> str:
    if repository not in (GROUNDING_DINO, OWLV2, SAM2):
        [near] = get_close_matches(repository, (GROUNDING_DINO, OWLV2, SAM2), n=1, cutoff=0.85) or [""]
        likely = f", did you mean {near!r}" if near else ""
        return (
            f"Is the name right{likely}? Try again where https://huggingface.co/{repository} can be reached, or copy"
            f" its folder here and load `open:DETECTOR_FOLDER,SEGMENTER_FOLDER`. {TRY_TINY}"
        )
    return (
        f"It is free and needs no login: try again where https://huggingface.co/{repository} can be reached, or copy"
        f" its folder here and load `open:DETECTOR_FOLDER,SEGMENTER_FOLDER`. {TRY_TINY}"
    )
