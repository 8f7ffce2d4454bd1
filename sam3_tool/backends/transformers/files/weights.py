"""Reading the folder of a SAM 3 checkpoint with transformers, silently."""

import logging
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from transformers import (
    CLIPTokenizer,
    Sam3ImageProcessor,
    Sam3TrackerConfig,
    Sam3TrackerModel,
)
from transformers.utils import logging as transformers_logging

from sam3_tool.backends.catalog import WORKS_NOW
from sam3_tool.backends.transformers.earlier_masks import CERTAIN_LOGIT
from sam3_tool.backends.transformers.files.architectures import import_detector_class, is_lite_text
from sam3_tool.backends.transformers.files.checkpoint import format_one_line, list_weight_files
from sam3_tool.backends.transformers.files.slices import iterate_slices, list_safetensors, open_safetensors
from sam3_tool.backends.transformers.native.checkpoint import NativeCheckpoint
from sam3_tool.backends.transformers.tracker import EXACT_PARTS
from sam3_tool.errors import CheckpointError, MissingPackageError
from sam3_tool.plugins import import_lock
from sam3_tool.system.files import decode_json

if TYPE_CHECKING:
    from sam3_tool.backends.transformers.video.network import MemoryWeights

_settings_lock = Lock()  # protects transformers' verbosity and progress bars, which are settings of the process


_FLAT_TEXT = {r"text_encoder\.(embeddings\.|encoder\.|final_layer_norm\.)": r"text_encoder.text_model.\1"}
"""Names of the text encoder's weights in some uploads -> in this release of transformers."""


_TRUNK_PROJECTION = re.compile(r"vision_encoder\.backbone\.layers\.\d+\.attention\.([qkv])_proj\.(?:weight|bias)$")


class Processors(NamedTuple):
    """Tokenizer and image processor of a checkpoint: a `Sam3Processor` would take a second more to make."""

    tokenizer: Any
    image_processor: Any


def read_detector(folder: Path, dtype: torch.dtype) -> tuple[Any, Processors]:
    """Return a `Sam3Model` or `Sam3LiteTextModel`, in evaluation mode and on the CPU, and its readers, silently.

    Raises `CheckpointError` if the folder does not hold all of a SAM 3 detector.
    """
    native = open_native(folder)
    try:
        with silence_transformers():
            if native is None:
                (model, report), processors = _build_detector(folder, dtype), _read_processors(folder)
            else:
                processors = Processors(*native.read_processors())  # takes less time than weights, and may fail
                model, report = native.build_detector(dtype)
    except (CheckpointError, MissingPackageError):
        raise
    except Exception as error:  # a damaged folder raises whatever its damaged part does
        raise CheckpointError(
            f"{folder} cannot be read as a SAM 3 checkpoint: {format_one_line(error)}. {WORKS_NOW}"
        ) from error
    missing = sorted(report["missing_keys"])
    if missing:  # transformers would go on with random numbers in their place
        what = f"{len(missing)} weights are missing, e.g. {missing[0]}"
        raise CheckpointError(f"{folder} is not a whole SAM 3 checkpoint: {what}. {WORKS_NOW}")
    for name, found, expected in sorted(report["mismatched_keys"]):
        raise CheckpointError(
            f"{folder} is not a whole SAM 3 checkpoint: {name} has the shape {tuple(found)}, and {tuple(expected)} is "
            f"expected. {WORKS_NOW}"
        )
    return model.eval(), processors


def open_native(path: Path) -> NativeCheckpoint | None:
    """Open a file with native names; None for a folder, which is in transformers' layout."""
    return None if path.is_dir() else NativeCheckpoint(path)


def _build_detector(folder: Path, dtype: torch.dtype) -> tuple[Any, dict[str, Any]]:
    """Return the network, and transformers' report of what was missing and did not fit."""
    kind = import_detector_class(folder)
    options = {
        "dtype": dtype,
        "output_loading_info": True,
        "ignore_mismatched_sizes": True,
        "key_mapping": _FLAT_TEXT if _has_flat_text(folder) else None,
    }
    if _is_stored_as(folder, dtype):
        model, report = kind.from_pretrained(folder, use_safetensors=True, local_files_only=True, **options)
    else:
        config = kind.config_class.from_pretrained(folder, local_files_only=True)
        model, report = kind.from_pretrained(
            None, config=config, state_dict=_convert_detector_weights(folder, dtype), **options
        )
    return model, report


def _is_stored_as(folder: Path, dtype: torch.dtype) -> bool:
    """Return whether weights have this format already; what cannot be read has, and transformers says so."""
    with suppress(OSError, SafetensorError, LookupError), safe_open(list_weight_files(folder)[0], "pt") as tensors:
        return bool(tensors.get_tensor(next(iter(tensors.keys()))).dtype == dtype)
    return True


def _convert_detector_weights(folder: Path, dtype: torch.dtype) -> dict[str, torch.Tensor]:
    """Return what a folder holds beside a tracker in another format, with little more in memory than that."""
    weights: dict[str, torch.Tensor] = {}
    joined: dict[str, torch.Tensor] = {}
    for file in list_weight_files(folder):
        names = sorted(name for name in list_safetensors(file) if not name.startswith(tuple(_TRACKER_PREFIXES)))
        for name, stored in iterate_slices(partial(open_safetensors, file), names):
            found = _TRUNK_PROJECTION.search(name)
            if found is None:
                weights[name] = stored.to(dtype, copy=True)
            else:
                layer = name[: found.start(1)] + name[found.end(1) :]
                if layer not in joined:
                    joined[layer] = _make_room(stored, dtype)
                weights[name] = joined[layer]["qkv".index(found[1])].copy_(stored)
    return weights


def _make_room(stored: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Return memory for the queries', keys' and values' weights of a layer, which are joined to one later.

    Side by side they are joined without a copy: 190 MiB of facebook/sam3 in bfloat16.
    """
    return torch.empty(3, *stored.shape, dtype=dtype)


def _has_flat_text(folder: Path) -> bool:
    """Return whether the text encoder's weights have the names of newer releases of transformers."""
    if is_lite_text(folder):  # whose own names are flat
        return False
    with suppress(OSError, SafetensorError), safe_open(list_weight_files(folder)[0], "pt") as tensors:
        beginnings = ("detector_model.text_encoder.", "text_encoder.")
        parts = ("embeddings.", "encoder.", "final_layer_norm.")
        flat = tuple(beginning + part for beginning in beginnings for part in parts)
        return any(name.startswith(flat) for name in tensors.keys())  # noqa: SIM118 - it is no dictionary
    return False


def _read_processors(folder: Path) -> Processors:
    return Processors(
        CLIPTokenizer.from_pretrained(folder, local_files_only=True),
        Sam3ImageProcessor.from_pretrained(folder, local_files_only=True),
    )


MEMORY_PARTS = (
    "memory_attention.",
    "memory_encoder.",
    "memory_temporal_positional_encoding",
    "no_object_pointer",
    "object_pointer_proj.",
    "occlusion_spatial_embedding_parameter",
    "temporal_positional_encoding_projection_layer.",
)
"""Weights of `Sam3TrackerVideoModel` that nothing but a video needs."""
_TRACKER_PREFIXES = {"tracker_neck.": "vision_encoder.neck.", "tracker_model.": ""}
"""Prefix of names in a checkpoint of `Sam3VideoModel` -> their prefix in `Sam3TrackerModel`."""


def read_tracker(folder: Path, detector: Any) -> Any:
    """Return the `Sam3TrackerModel` beside the detector, on its vision trunk: only neck and heads are read.

    Raises `CheckpointError` if the checkpoint has none, or half of one.
    """
    native = open_native(folder)
    weights = _read_tracker_weights(
        folder,
        native,
        lambda name: not name.startswith(MEMORY_PARTS),
        lambda name: torch.float32 if name.startswith(EXACT_PARTS) else detector.dtype,
    )
    if not weights:
        raise CheckpointError(f"{folder} has no tracker weights, so it cannot follow clicks. {WORKS_NOW}")
    try:
        with silence_transformers(), torch.device("meta"):  # nothing is made that is replaced at once
            tracker = Sam3TrackerModel(_read_tracker_config(folder, native))
            if _is_mask_learnt(weights):
                tracker.mask_downsample = torch.nn.Conv2d(1, 1, kernel_size=4, stride=4)
        tracker.vision_encoder.backbone = detector.vision_encoder.backbone
        missing = tracker.load_state_dict(weights, strict=False, assign=True).missing_keys
        # SAM 3's head says how good a mask is behind a sigmoid; that of SAM 3.1 says it outright
        tracker.mask_decoder.iou_prediction_head.sigmoid_output = native is None or not native.is_multiplex
    except CheckpointError:
        raise
    except Exception as error:  # a damaged folder raises whatever its damaged part does
        what = _describe_tracker_fault(folder, native) or format_one_line(error)
        raise CheckpointError(f"{folder} cannot be read as a SAM 3 tracker: {what}. {WORKS_NOW}") from error
    lost = sorted(name for name in missing if not name.startswith("vision_encoder.backbone."))
    if lost:
        what = f"{len(lost)} weights are missing, e.g. {lost[0]}"
        raise CheckpointError(f"{folder} has no whole tracker for clicks: {what}. {WORKS_NOW}")
    return tracker.eval()


def _describe_tracker_fault(folder: Path, native: NativeCheckpoint | None) -> str:
    """Say that a folder does not tell the sizes of its tracker; "" where it does, or nobody knows."""
    with suppress(OSError, ValueError):
        if native is None and not decode_json((folder / "config.json").read_bytes()).get("tracker_config"):
            return "config.json has no tracker_config, and its weights are of other sizes than the published ones"
    return ""


def _is_mask_learnt(weights: dict[str, torch.Tensor]) -> bool:
    """Return whether the weights tell how a mask becomes logits, otherwise than it is done where they do not."""
    found = {name: value for name, value in weights.items() if name.startswith("mask_downsample.")}
    plain = {"weight": 2 * CERTAIN_LOGIT / 16, "bias": -CERTAIN_LOGIT}  # of 4 x 4 pixels, the mean
    is_plain = all(bool((value == plain[name.rpartition(".")[2]]).all()) for name, value in found.items())
    return bool(found) and not (is_plain and len(found) == len(plain))


def read_memory(folder: Path, dtype: torch.dtype) -> "MemoryWeights":
    """Return what the tracker remembers videos with, in evaluation mode and on the CPU.

    `dtype`: of memory attention; all else is small and stays in float32.

    Raises `CheckpointError` if the checkpoint has none of it, or not all.
    """
    # 0.1 s that nobody waits for who asks about images
    with import_lock:
        from transformers import Sam3VideoConfig

        from sam3_tool.backends.transformers.video.network import MemoryWeights

    native = open_native(folder)
    if native is not None and native.is_multiplex:
        raise CheckpointError(
            f"{folder} is SAM 3.1, whose memory for videos (Object Multiplex) is of another build and is not read: it "
            "answers phrases and clicks in images; for videos use `--sam3 facebook/sam3` or its sam3.pt"
        )
    parts = (*MEMORY_PARTS, "mask_downsample.")
    weights = _read_tracker_weights(folder, native, lambda name: name.startswith(parts), lambda _: torch.float32)
    if not any(name.startswith(MEMORY_PARTS) for name in weights):
        raise CheckpointError(
            f"{folder} has no memory weights, so it cannot follow objects through a video; "
            "`--sam3 facebook/sam3` has them"
        )
    try:
        with silence_transformers():
            if native is None:
                config = Sam3VideoConfig.from_pretrained(folder, local_files_only=True).tracker_config
            else:
                config = native.read_memory_config()
            memory = MemoryWeights(config)
        missing = sorted(memory.load_state_dict(weights, strict=False).missing_keys)
    except Exception as error:  # a damaged folder raises whatever its damaged part does
        what = format_one_line(error)
        raise CheckpointError(f"{folder} cannot be read as a SAM 3 video tracker: {what}. {WORKS_NOW}") from error
    if missing:
        what = f"{len(missing)} weights are missing, e.g. {missing[0]}"
        raise CheckpointError(f"{folder} has no whole memory for videos: {what}. {WORKS_NOW}")
    memory.memory_attention.to(dtype)
    return memory.eval().requires_grad_(False)


def _read_tracker_config(folder: Path, native: NativeCheckpoint | None) -> Sam3TrackerConfig:
    if native is not None:
        return native.read_tracker_config()
    config: Sam3TrackerConfig = Sam3TrackerConfig.from_pretrained(folder, local_files_only=True)
    return config


def _read_tracker_weights(
    folder: Path,
    native: NativeCheckpoint | None,
    is_wanted: Callable[[str], bool],
    choose_dtype: Callable[[str], torch.dtype],
) -> dict[str, torch.Tensor]:
    """Return weights by their names in `Sam3TrackerModel` and `Sam3TrackerVideoModel`; both functions get these."""

    def name_in_tracker(name: str) -> str:
        """Return the empty name for what is not the tracker's, or is not wanted."""
        prefix = next((prefix for prefix in _TRACKER_PREFIXES if name.startswith(prefix)), "")
        own = _TRACKER_PREFIXES[prefix] + name.removeprefix(prefix) if prefix else ""
        return own if is_wanted(own) else ""

    if native is not None:
        found = native.read_weights(
            lambda name: bool(name_in_tracker(name)), lambda name: choose_dtype(name_in_tracker(name))
        )
        return {name_in_tracker(name): value for name, value in found.items()}
    weights: dict[str, torch.Tensor] = {}
    for file in list_weight_files(folder):
        own_names = {name: own for name in list_safetensors(file) if (own := name_in_tracker(name))}
        dtypes = {name: choose_dtype(own) for name, own in own_names.items()}
        weights |= {own_names[name]: value for name, value in _read_weights(file, dtypes).items()}
    return weights


def _read_weights(file: Path, dtypes: dict[str, torch.dtype]) -> dict[str, torch.Tensor]:
    """Return weights by name, in these formats: views of the file where they are stored so, or else copies.

    What is kept as a view keeps the whole file mapped, and with it every page that was read. So copies are made of
    another mapping, which ends with them.
    """
    views = open_safetensors(file)
    weights = {name: views[name] for name, dtype in dtypes.items() if views[name].dtype == dtype}
    for name, stored in iterate_slices(partial(open_safetensors, file), sorted(dtypes.keys() - weights.keys())):
        weights[name] = stored.to(dtypes[name], copy=True)
    return weights


@contextmanager
def silence_transformers() -> Iterator[None]:
    """Switch off transformers' progress bar for weights, and everything below an error in its log."""
    with _settings_lock:
        verbosity = transformers_logging.get_verbosity()
        hook = transformers_logging.set_tqdm_hook(_disable_progress_bar)
        transformers_logging.set_verbosity(logging.ERROR)
        try:
            yield
        finally:
            transformers_logging.set_verbosity(verbosity)
            transformers_logging.set_tqdm_hook(hook)


def _disable_progress_bar(bar: Callable[..., Any], args: tuple[Any, ...], options: dict[str, Any]) -> Any:
    return bar(*args, **options | {"disable": True})
