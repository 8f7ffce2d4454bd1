"""Reading the folders of open models with transformers, silently and whole."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from transformers import (
    BertTokenizer,
    CLIPTokenizer,
    GroundingDinoForObjectDetection,
    GroundingDinoImageProcessor,
    Owlv2ForObjectDetection,
    Owlv2ImageProcessor,
    Sam2ImageProcessor,
    Sam2Model,
    Sam2VideoConfig,
)

from sam3_tool.backends.open_models.calibration import read_calibrations
from sam3_tool.backends.open_models.detector import Detector
from sam3_tool.backends.open_models.folders import DETECTOR_TYPES, SAM2, TRY_TINY, read_model_type
from sam3_tool.backends.open_models.grounding_dino import GroundingDino
from sam3_tool.backends.open_models.owlv2 import Owlv2
from sam3_tool.backends.open_models.segmenter import Segmenter
from sam3_tool.backends.transformers.files.checkpoint import format_one_line
from sam3_tool.backends.transformers.files.weights import silence_transformers
from sam3_tool.backends.transformers.tracker import EXACT_PARTS
from sam3_tool.backends.transformers.video.network import MemoryWeights
from sam3_tool.errors import CheckpointError


def read_detector(folder: Path, device: torch.device, dtype: torch.dtype) -> Detector:
    """Return the detector of a folder on a device. Nothing is printed.

    Raises `CheckpointError` if the folder does not hold all of it.
    """
    kind = read_model_type(folder)
    title = DETECTOR_TYPES[kind]
    calibrations = read_calibrations(kind, folder)
    parts: dict[str, tuple[Any, Any, Any, Any]] = {
        "grounding-dino": (
            GroundingDinoForObjectDetection,
            BertTokenizer,
            GroundingDinoImageProcessor,
            GroundingDino,
        ),
        "owlv2": (Owlv2ForObjectDetection, CLIPTokenizer, Owlv2ImageProcessor, Owlv2),
    }
    model_class, tokenizer_class, processor_class, wrapper = parts[kind]
    model = _read_model(model_class, folder, title).to(device)
    tokenizer = _read_part(tokenizer_class.from_pretrained, folder, f"the tokenizer of {title}")
    processor = _read_part(processor_class.from_pretrained, folder, f"the image processor of {title}")
    detector: Detector = wrapper(model, tokenizer, processor, calibrations=calibrations, dtype=dtype)
    return detector


def read_segmenter(folder: Path, device: torch.device, dtype: torch.dtype) -> Segmenter:
    """Return the SAM 2 of a folder on a device. Nothing is printed.

    Raises `CheckpointError` if the folder does not hold all of it.
    """
    model = _read_model(Sam2Model, folder, "SAM 2")
    processor = _read_part(Sam2ImageProcessor.from_pretrained, folder, "the image processor of SAM 2")
    for name, part in model.named_children():
        if not name.startswith(EXACT_PARTS):
            part.to(dtype)
    model.no_memory_embedding.data = model.no_memory_embedding.data.to(dtype)
    return Segmenter(model.to(device), processor)


def read_memory(folder: Path, device: torch.device, dtype: torch.dtype) -> MemoryWeights:
    """Return what the SAM 2 of a folder remembers videos with, on a device.

    `dtype`: of memory attention; all else is small and stays in float32.

    Raises `CheckpointError` if the folder has none of it, or not all.
    """
    what = "the memory of SAM 2 for videos"
    memory = MemoryWeights(_read_part(Sam2VideoConfig.from_pretrained, folder, what))
    wanted = set(memory.state_dict())
    weights = _read_part(lambda source, **_: _read_tensors(source, wanted), folder, what)
    missing = sorted(wanted - set(weights))
    if missing:
        raise CheckpointError(
            f"{folder} cannot follow objects through a video: {len(missing)} weights of its memory are missing, e.g."
            f" {missing[0]}; take all of a SAM 2.1, as in https://huggingface.co/{SAM2}"
        )
    _read_part(lambda *_, **__: memory.load_state_dict(weights), folder, what)  # sizes may differ
    memory.memory_attention.to(dtype)
    return memory.eval().requires_grad_(False).to(device)


def _read_tensors(folder: Path, wanted: set[str]) -> dict[str, torch.Tensor]:
    """Return the weights of these names, in float32, as far as they are there."""
    found: dict[str, torch.Tensor] = {}
    for file in sorted(folder.glob("*.safetensors")):
        with safe_open(file, "pt") as tensors:
            names = wanted.intersection(tensors.keys())
            found |= {name: tensors.get_tensor(name).float() for name in names}
    return found


def _read_model(model_class: Any, folder: Path, title: str) -> Any:
    """Return a model in float32, in evaluation mode and on the CPU."""

    def read_weights(source: Path, **options: Any) -> Any:
        return model_class.from_pretrained(
            source, dtype=torch.float32, use_safetensors=True, output_loading_info=True, **options
        )

    model, report = _read_part(read_weights, folder, title)
    missing = sorted(report["missing_keys"])
    if missing:  # transformers would go on with random numbers in their place
        what = f"{len(missing)} weights are missing, e.g. {missing[0]}"
        raise CheckpointError(f"{folder} is not a whole {title}: {what}. {TRY_TINY}")
    return model.eval().requires_grad_(False)


def _read_part(read: Callable[..., Any], folder: Path, what: str) -> Any:
    try:
        with silence_transformers():
            return read(folder, local_files_only=True)
    except Exception as error:  # a damaged folder raises whatever its damaged part does
        raise CheckpointError(f"{folder} cannot be read as {what}: {format_one_line(error)}. {TRY_TINY}") from error
