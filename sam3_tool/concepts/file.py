"""The file of a concept: safetensors, so that reading it runs nothing, with what it is in its header."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from sam3_tool.concepts.concept import Concept
from sam3_tool.errors import ConceptError
from sam3_tool.system.files import write_atomically

FORMAT, VERSION = "sam3-agent concept", 1
MAX_BYTES = 4 * 2**20
"""Eight times what the most examples of the widest published network take."""
_MAX_LETTERS = 2000
"""Of a text in the header."""
_TEXTS = ("fingerprint", "weights", "dtype")
_TENSORS = {"examples": "F32", "labels": "U8", "surroundings": "F32"}
_EXPECTED = "expected what `Concept.save` or `sam3-agent describe` wrote"


def write_concept(concept: Concept, path: Path) -> None:
    """Write the file whole, or not at all. Raises ConceptError."""
    content = encode_concept(concept)
    try:
        write_atomically(path, content)
    except OSError as error:
        raise ConceptError(f"cannot write {path}: {error.strerror or error}") from error


def encode_concept(concept: Concept) -> bytes:
    """Return what the file holds. Raises ConceptError for weights without a fingerprint."""
    if not concept.fingerprint:
        raise ConceptError(
            f"the weights {concept.weights!r} have no fingerprint, so a saved concept could not tell which weights it"
            " is of; load them from a folder, then describe the examples again"
        )
    texts = {name: getattr(concept, name) for name in _TEXTS} | {"phrase": concept.phrase or ""}
    content: bytes = save(
        {
            "examples": np.ascontiguousarray(concept.examples),
            "labels": np.array(concept.labels, np.uint8),
            "surroundings": np.ascontiguousarray(concept.surroundings),
        },
        {"format": FORMAT, "version": str(VERSION), **texts},
    )
    return content


def decode_concept(content: bytes) -> Concept:
    """Read what a file holds. Raises ConceptError, which names no path of this machine."""
    if len(content) > MAX_BYTES:  # before anything is written
        raise ConceptError(f"the concept has {len(content):,} bytes, and none has more than {MAX_BYTES:,}")
    with TemporaryDirectory(prefix="sam3-agent-") as folder:  # the library reads headers of files alone
        path = Path(folder, "concept")
        path.write_bytes(content)
        try:
            return read_concept(path)
        except ConceptError as error:
            raise ConceptError(str(error).replace(str(path), "the file")) from error


def read_concept(path: Path) -> Concept:
    """Read a file that `write_concept` wrote. Raises ConceptError in one sentence for any other."""
    try:
        if not path.is_file():
            what = "not a file" if path.exists() else "no such file"
            raise ConceptError(f"{path}: {what}; expected the file of a concept")
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise ConceptError(f"{path} is no concept: it has {size:,} bytes, and none has more than {MAX_BYTES:,}")
        with safe_open(path, "np") as held:
            return _build_concept(path, held)
    except SafetensorError as error:
        raise ConceptError(f"{path} is no concept, or is cut off ({error}); {_EXPECTED}") from error
    except OSError as error:
        raise ConceptError(f"cannot read {path}: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:  # numbers that make no concept
        if isinstance(error, ConceptError):
            raise
        raise ConceptError(f"{path} is damaged: {error}; {_EXPECTED}") from error


def _build_concept(path: Path, held: Any) -> Concept:
    """Check header, types and shapes before any number is read."""
    header = held.metadata() or {}
    if header.get("format") != FORMAT:
        raise ConceptError(f"{path} is no concept: it does not say format {FORMAT!r}; {_EXPECTED}")
    if header.get("version") != str(VERSION):
        raise ConceptError(
            f"{path} has version {header.get('version')!r:.40} of the format, and this program reads version"
            f" {VERSION}; update it, or describe the examples again"
        )
    texts = {name: header.get(name, "") for name in (*_TEXTS, "phrase")}
    if any(len(text) > _MAX_LETTERS for text in texts.values()) or not texts["fingerprint"]:
        raise ValueError("its header names no weights, or has a text that is too long")
    kinds = {name: held.get_slice(name).get_dtype() for name in held.keys()}  # noqa: SIM118 - it is no dictionary
    if kinds != _TENSORS:
        raise ValueError(f"it holds {', '.join(map(str, kinds)) or 'no arrays'}, expected {', '.join(_TENSORS)}")
    arrays = {name: held.get_tensor(name) for name in _TENSORS}
    phrase = texts.pop("phrase") or None
    labels = tuple(map(int, arrays["labels"].ravel()))
    return Concept(arrays["examples"], labels, arrays["surroundings"], phrase, **texts)
