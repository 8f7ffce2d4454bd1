"""A backend for SAM 3's tracker alone, as `Sam3TrackerModel` is saved, without phrases. `tracker` makes its masks."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any

import torch
from safetensors import safe_open
from torchvision.transforms.v2.functional import resize
from transformers import Sam3ImageProcessor, Sam3TrackerModel

from sam3_tool.backends.catalog import WORKS_NOW
from sam3_tool.backends.transformers.backend import ImageEmbedding
from sam3_tool.backends.transformers.files.checkpoint import format_one_line, hash_checkpoint, list_weight_files
from sam3_tool.backends.transformers.files.memory_needs import sum_weight_bytes
from sam3_tool.backends.transformers.files.weights import silence_transformers
from sam3_tool.backends.transformers.hardware.devices import (
    choose_memory_format,
    describe_device,
    resolve_device,
    resolve_dtype,
)
from sam3_tool.backends.transformers.hardware.failures import explain_failures
from sam3_tool.backends.transformers.hardware.transfers import upload_pixels
from sam3_tool.backends.transformers.layers.precision import keep_trunk_float32
from sam3_tool.backends.transformers.layers.published import match_trunk_norms
from sam3_tool.backends.transformers.layers.rotary import replace_rotary_attention
from sam3_tool.backends.transformers.tracker import EXACT_PARTS, Tracker
from sam3_tool.errors import CheckpointError
from sam3_tool.image import Image
from sam3_tool.instances import Instances
from sam3_tool.prompts import PUBLISHED_THRESHOLDS, ConceptPrompt, PointsPrompt, VisualPrompt

_PROMPTS_AT_ONCE = 8


class TrackerBackend:
    """The vision trunk and the tracker's head. Safe to share between threads; they take turns."""

    point_thresholds = PUBLISHED_THRESHOLDS

    def __init__(self, model: Any, images: Any, *, name: str, folder: Path) -> None:
        """Take over a `Sam3TrackerModel` on its device, in evaluation mode, and an image processor."""
        self.name, self._folder, self._images = name, folder, images
        self._trunk, self._lock = model.vision_encoder.backbone, Lock()
        self._device: torch.device = model.device
        self._dtype: torch.dtype = model.mask_decoder.conv_s0.weight.dtype
        match_trunk_norms(self._trunk)
        replace_rotary_attention(self._trunk)
        if self._dtype != torch.float32:
            keep_trunk_float32(self._trunk, self._dtype)
        colors = (images.image_mean, images.image_std)
        self._mean, self._std = (torch.tensor(color, device=self._device).view(3, 1, 1) for color in colors)
        self._tracker = Tracker(model)

    @classmethod
    def load(cls, folder: Path, *, name: str, device: str = "auto", dtype: str = "auto") -> "TrackerBackend":
        """Load a folder; see `Sam3.load`. Raises `CheckpointError` or `DeviceError`."""
        place = resolve_device(device)
        try:
            with silence_transformers():
                model, report = Sam3TrackerModel.from_pretrained(
                    folder,
                    dtype=resolve_dtype(dtype, place, sum_weight_bytes(folder)),
                    use_safetensors=True,
                    local_files_only=True,
                    output_loading_info=True,
                )
                images = Sam3ImageProcessor.from_pretrained(folder, local_files_only=True)
            model.load_state_dict(_read_exact_weights(folder), strict=False, assign=True)
        except Exception as error:  # a damaged folder raises whatever its damaged part does
            what = format_one_line(error)
            raise CheckpointError(f"{folder} cannot be read as a SAM 3 tracker: {what}. {WORKS_NOW}") from error
        missing = sorted(report["missing_keys"])
        if missing:
            what = f"{len(missing)} weights are missing, e.g. {missing[0]}"
            raise CheckpointError(f"{folder} is not a whole SAM 3 tracker: {what}. {WORKS_NOW}")
        with explain_failures(place):
            return cls(
                model.eval().to(place, memory_format=choose_memory_format(place)), images, name=name, folder=folder
            )

    @property
    def runs_on(self) -> str:
        """Device and number format, as of `TransformersBackend`."""
        return f"{self._device.type} {str(self._dtype).removeprefix('torch.')}"

    @property
    def device_name(self) -> str:
        """What the device is called: 'NVIDIA H200', or the name of the processor."""
        return describe_device(self._device)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the checkpoint's files."""
        return hash_checkpoint(self._folder)

    def encode(self, images: Sequence[Image]) -> list[ImageEmbedding]:
        with self._run_safely():
            return [self._encode_image(image) for image in images]

    def decode(self, embeddings: Sequence[Any], prompts: Sequence[ConceptPrompt]) -> list[Instances]:
        raise CheckpointError(
            f"{self.name} is SAM 3's tracker alone, which follows clicks, boxes and masks and finds no phrases; "
            f"`--sam3 facebook/sam3` has both. {WORKS_NOW}"
        )

    def refine(self, embeddings: Sequence[ImageEmbedding], prompts: Sequence[VisualPrompt]) -> list[Instances]:
        with self._run_safely():
            return [
                instances
                for first in range(0, len(prompts), _PROMPTS_AT_ONCE)
                for instances in self._tracker.refine(
                    embeddings[first : first + _PROMPTS_AT_ONCE], prompts[first : first + _PROMPTS_AT_ONCE]
                )
            ]

    @property
    def points_at_once(self) -> int:
        """How many clicks on one image share a pass."""
        return _PROMPTS_AT_ONCE

    def segment_points(self, embedding: ImageEmbedding, prompt: PointsPrompt) -> Instances:
        with self._run_safely():
            return self._tracker.segment_points(embedding, prompt, batch_size=self.points_at_once)

    def vocabulary_warning(self, phrase: str) -> str:
        """Return nothing: a phrase is refused."""
        return ""

    @contextmanager
    def _run_safely(self) -> Iterator[None]:
        with self._lock, explain_failures(self._device), torch.inference_mode():
            yield

    def _encode_image(self, image: Image) -> ImageEmbedding:
        size = self._images.size
        pixels = upload_pixels(image.pixels, self._device).permute(2, 0, 1)[None]
        square = resize(pixels, [size["height"], size["width"]], antialias=True)
        normal = (square.float() / 255.0 - self._mean) / self._std
        trunk = self._trunk(normal.to(self._dtype)).last_hidden_state
        return ImageEmbedding((), image.height, image.width, trunk, trunk[:, :0], image.key)


def _read_exact_weights(folder: Path) -> dict[str, torch.Tensor]:
    """Return in float32 what stays so in a 16-bit network."""
    weights = {}
    for file in list_weight_files(folder):
        with safe_open(file, "pt") as tensors:
            for name in tensors.keys():  # noqa: SIM118 - it is no dictionary
                if (own := name.removeprefix("tracker_model.")).startswith(EXACT_PARTS):
                    weights[own] = tensors.get_tensor(name).float()
    return weights
