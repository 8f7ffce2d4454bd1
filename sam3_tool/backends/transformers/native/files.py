"""A file with SAM 3's weights under native names, told apart from all that it could be instead. No code of it runs."""

import pickle
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from sam3_tool.backends.catalog import WORKS_NOW
from sam3_tool.backends.transformers.files.broken_weights import check_weight_file
from sam3_tool.backends.transformers.files.checkpoint import format_one_line
from sam3_tool.backends.transformers.files.slices import SLICE_BYTES, iterate_slices, open_safetensors
from sam3_tool.backends.transformers.native.lite_text import choose_context
from sam3_tool.backends.transformers.native.names import (
    LITE_TEXT,
    STUDENT_TRUNK,
    TRUNK,
    is_multiplex,
    normalize_names,
    translate_name,
)
from sam3_tool.backends.transformers.students.layout import find_family
from sam3_tool.errors import CheckpointError

_ARCHIVE, _PICKLE = b"PK\x03\x04", b"\x80"
_NESTED = ("model", "state_dict", "model_state_dict", "ema")
"""Where training runs put the weights."""
_STUDENT_ALONE = (
    "without the rest of SAM 3, as its stage 1 saves it: name a merged file such as efficientsam3_tinyvit.pt"
)
_OTHER_MODELS = {
    "backbone.model.": f"EfficientSAM3's image encoder alone, {_STUDENT_ALONE}",
    "encoder.embedding_layer.": f"EfficientSAM3's text encoder alone, {_STUDENT_ALONE}",
    "image_encoder.trunk.": "SAM 2",
    "image_encoder.blocks.": "SAM",
    "detector_model.": "SAM 3 under transformers' names, which are read from a folder with config.json",
}
"""How names of other models begin."""
_FORMATS = (torch.float32, torch.float16, torch.bfloat16, torch.float64)


class NativeFile:
    """Weights by their names in `sam3.pt`; those of SAM 3.1 have the names of SAM 3's that do the same work."""

    def __init__(self, path: Path) -> None:
        """Look into a file: a PyTorch archive or safetensors, by its content and not by its ending.

        Raises:
            CheckpointError: It cannot be read, is damaged, could run code, or is not SAM 3.
        """
        self.path = path
        tensors = _open_weights(path)
        names = normalize_names(tensors)
        self._stored = {native: stored for stored, native in names.items()}
        self.shapes = {native: tuple(tensors[stored].shape) for native, stored in self._stored.items()}
        """Shape of each weight."""
        self.is_multiplex = is_multiplex(self._stored)
        """Whether it is SAM 3.1, whose tracker takes several objects at once."""
        self.is_lite_text = any(native.startswith(LITE_TEXT) for native in self._stored)
        """Whether its text encoder is that of SAM3-LiteText."""
        self.is_student = any(native.startswith(STUDENT_TRUNK) for native in self._stored)
        """Whether its vision trunk is that of EfficientSAM3."""
        self._check_names()
        self._check_formats(tensors)

    @cached_property
    def text_context(self) -> int:
        """How many tokens the text encoder of SAM3-LiteText reads. Raises KeyError or IndexError: see there."""
        content = _open_archive(self.path) if _is_archive(self.path) else None
        notes = content.get("meta") if isinstance(content, Mapping) else None
        noted = notes.get("text_context_length") if isinstance(notes, Mapping) else None
        return choose_context(self.shapes, self.path, noted)

    def iterate_weights(self, names: Sequence[str]) -> Iterator[tuple[str, torch.Tensor]]:
        """Yield weights as they are stored. They are views of the file: copy what is kept."""
        natives = {self._stored[native]: native for native in names}
        slices = iterate_slices(lambda: _open_weights(self.path), sorted(natives), slice_bytes=2 * SLICE_BYTES)
        for stored, tensor in slices:
            yield natives[stored], tensor

    def _check_names(self) -> None:
        if self.is_student and find_family(name.removeprefix(STUDENT_TRUNK) for name in self.shapes) is None:
            raise CheckpointError(
                f"{self.path} is not EfficientSAM3 as it was published: its vision encoder is none of EfficientViT, "
                f"RepViT and TinyViT. {WORKS_NOW}"
            )
        if not self.is_student and f"{TRUNK}patch_embed.proj.weight" not in self.shapes:
            what = _describe_names(self._stored.values())
            folder = self.path.parent
            if "detector_model." in what and (folder / "config.json").exists():
                what += f"; name its folder, {folder}"
            raise CheckpointError(f"{self.path} is not SAM 3: {what}. {WORKS_NOW}")
        unknown = sorted(name for name in self.shapes if translate_name(name) is None)
        if unknown:
            raise CheckpointError(
                f"{self.path} is not SAM 3 as it was published: it has {len(unknown)} more weights, e.g. "
                f"{self._stored[unknown[0]]}; expected those of sam3.pt or sam3.1_multiplex.pt. {WORKS_NOW}"
            )

    def _check_formats(self, tensors: Mapping[str, torch.Tensor]) -> None:
        for native, stored in self._stored.items():
            tensor = tensors[stored]
            if translate_name(native) and (tensor.dtype not in _FORMATS or tensor.is_sparse):
                kind = str(tensor.dtype).removeprefix("torch.")
                raise CheckpointError(
                    f"{self.path} holds {stored} as {kind}; expected float32, float16 or bfloat16 (quantised weights "
                    f"are not read). {WORKS_NOW}"
                )


def _open_weights(path: Path) -> dict[str, torch.Tensor]:
    """Return the tensors of a file by name. They are views of it, which the system reads when they are used."""
    check_weight_file(path)
    with path.open("rb") as content:
        start = content.read(9)
    if start.startswith(_ARCHIVE):
        return _find_weights(path, _open_archive(path))
    if start[8:] == b"{":
        return _open_safetensors(path)
    found = "its first bytes are those of another kind of file"
    if start.startswith(_PICKLE):
        found = "it is a plain pickle, which could run code"
    raise CheckpointError(
        f"{path} holds no weights that can be read: {found}; expected a PyTorch archive such as sam3.pt, or "
        f"safetensors. {WORKS_NOW}"
    )


def _is_archive(path: Path) -> bool:
    with path.open("rb") as content:
        return content.read(4) == _ARCHIVE


def _open_archive(path: Path) -> Any:
    try:
        return torch.load(path, map_location="cpu", mmap=True, weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path} holds Python objects beside weights, which could run code when they are read; expected nothing "
            f"but weights, as in sam3.pt. {WORKS_NOW}"
        ) from error
    except Exception as error:  # a damaged archive raises whatever its damaged part does
        what = format_one_line(error).split(". This ", 1)[0]
        raise CheckpointError(
            f"{path} is damaged, or only a part of it is there ({what}); fetch it again. {WORKS_NOW}"
        ) from error


def _open_safetensors(path: Path) -> dict[str, torch.Tensor]:
    try:
        return open_safetensors(path)
    except (SafetensorError, OSError, RuntimeError) as error:
        raise CheckpointError(
            f"{path} is damaged, or only a part of it is there ({format_one_line(error)}); fetch it again. {WORKS_NOW}"
        ) from error


def _find_weights(path: Path, content: Any) -> dict[str, torch.Tensor]:
    """Return the tensors of what an archive holds: a dictionary of them, or one that a training run has saved."""
    if isinstance(content, Mapping):
        for candidate in (content, *(content.get(key) for key in _NESTED)):
            weights = _list_tensors(candidate)
            if weights:
                return weights
    found = f"it has {', '.join(sorted(map(str, content))[:5]) or 'nothing'}" if isinstance(content, Mapping) else ""
    raise CheckpointError(
        f"{path} holds no weights: {found or f'it is one {type(content).__name__}'}; expected a dictionary of tensors, "
        f"or one under 'model' or 'state_dict'. {WORKS_NOW}"
    )


def _list_tensors(content: Any) -> dict[str, torch.Tensor]:
    if not isinstance(content, Mapping):
        return {}
    return {name: value for name, value in content.items() if isinstance(name, str) and torch.is_tensor(value)}


def _describe_names(names: Collection[str]) -> str:
    """Say of which model names are."""
    first = min(names, default="")
    for stored in sorted(names):
        bare = stored.removeprefix("module.").removeprefix("student_trunk.")
        for beginning, model in _OTHER_MODELS.items():
            if bare.startswith(beginning):
                return f"its weight {stored} is of {model}"
    return f"its weights have names such as {first!r}; expected {TRUNK + 'patch_embed.proj.weight'!r} among them"
