"""A detector for phrases and SAM 2.1 for masks, as one backend: phrase, boxes, masks; and clicks and videos."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import torch

from sam3_tool.backends.base import CrossImageEmbedding, Detections
from sam3_tool.backends.open_models.calibration import FILE_NAME, Calibration
from sam3_tool.backends.open_models.detector import DetectionRequest, Detector, Features, FoundBoxes
from sam3_tool.backends.open_models.duplicates import find_distinct_masks
from sam3_tool.backends.open_models.folders import OpenFolders
from sam3_tool.backends.open_models.reading import read_detector, read_memory, read_segmenter
from sam3_tool.backends.open_models.segmenter import Segmenter
from sam3_tool.backends.transformers.files.checkpoint import hash_checkpoint
from sam3_tool.backends.transformers.files.memory_needs import sum_weight_bytes
from sam3_tool.backends.transformers.hardware.devices import describe_device, read_free_bytes, resolve_dtype
from sam3_tool.backends.transformers.hardware.failures import explain_failures
from sam3_tool.backends.transformers.hardware.transfers import to_device, to_host
from sam3_tool.backends.transformers.layers.upsampling import build_instances, threshold_to_rles
from sam3_tool.backends.transformers.video.memory import VideoMemory
from sam3_tool.backends.transformers.video.network import FrameLevels, VideoNetwork
from sam3_tool.errors import CheckpointError, DeviceError
from sam3_tool.image import Image
from sam3_tool.instances import Instances
from sam3_tool.masks.rle import RleMask
from sam3_tool.prompts import ConceptPrompt, PointsPrompt, VisualPrompt

POINT_THRESHOLDS = (0.8, 0.95)
"""Predicted IoU and stability of everything mode, as published for SAM 2 (`automatic_mask_generator.py`)."""
_PASS_PERCENT = 280
"""Of the weights in float32, what one image takes beside them: 3.1 GiB in all at the published size."""
_CPU_IMAGES, _GPU_IMAGES = 1, 8
"""Images in one pass of SAM 2's encoder."""
_CPU_MASKS, _GPU_MASKS = 16, 64
"""Masks in one pass of SAM 2's decoder; each takes 30 MB in float32."""


@dataclass(frozen=True, eq=False)
class OpenEmbedding:
    """What detector and SAM 2 keep of one image."""

    features: Features
    """The detector's."""
    trunk: Any
    """tuple[torch.Tensor, ...]: what SAM 2's mask decoder reads, finest level first, each (1, C, h, w)."""
    height: int
    """Height of the image in pixels."""
    width: int
    key: str
    """The image's."""
    device: torch.device | None = None
    """The networks', while this waits in the host's memory."""

    @property
    def nbytes(self) -> int:
        return sum(tensor.nbytes for tensor in (*self.features.tensors, *self.trunk))

    def copy_to_host(self) -> "OpenEmbedding":
        """Copy to the host's memory. The host must not read the copy: it may still be on its way."""
        return replace(self._copy_tensors(to_host), device=self.trunk[0].device)

    def copy_to_device(self) -> "OpenEmbedding":
        """Copy back to the device where it was made."""
        home = self.device or self.trunk[0].device
        return replace(self._copy_tensors(lambda tensor: to_device(tensor, home)), device=None)

    @torch.inference_mode()  # of the kind that the networks have made
    def _copy_tensors(self, copy_tensor: Callable[[torch.Tensor], torch.Tensor]) -> "OpenEmbedding":
        with explain_failures(self.device or self.trunk[0].device):
            tensors = tuple(copy_tensor(tensor) for tensor in self.features.tensors)
            trunk = tuple(copy_tensor(level) for level in self.trunk)
            return replace(self, features=Features(tensors, self.features.size), trunk=trunk)


class OpenBackend:
    """Open models. Safe to share between threads; they take turns.

    - Boxes and scores are the detector's; a `Calibration` brings its raw scores to one scale, without changing their
      order. Kept are scores strictly above the prompt's threshold, 200 boxes at most.
    - Each box, cut at the image's edges, goes to SAM 2 as the prompt of a single mask.
    - Of two masks of one prompt with an IoU above 0.7, the one with the lower score is dropped, and so is a box in
      which SAM 2 finds no pixel.
    - Order: score; ties keep the order of the detector's queries.
    - Objects of a video are followed with SAM 2's memory, by the rules for SAM 3: see `VideoMemory`.
    """

    point_thresholds = POINT_THRESHOLDS

    def __init__(
        self, detector: Detector, segmenter: Segmenter, *, name: str, folders: OpenFolders | None = None
    ) -> None:
        """Take over both on their device."""
        self.name = name
        self._detector, self._segmenter, self._folders = detector, segmenter, folders
        self._device: torch.device = segmenter.model.no_memory_embedding.device
        self._lock = Lock()

    @classmethod
    def load(cls, folders: OpenFolders, *, name: str, device: torch.device, dtype: str = "auto") -> "OpenBackend":
        """Load two folders; see `load_open_backend`. Raises `CheckpointError` or `DeviceError`."""
        weight_bytes = sum(map(sum_weight_bytes, folders))
        number_format = resolve_dtype(dtype, device, weight_bytes)
        _require_memory(weight_bytes, name=name, device=device)
        with explain_failures(device):
            detector = read_detector(folders.detector, device, number_format)
            segmenter = read_segmenter(folders.segmenter, device, number_format)
        return cls(detector, segmenter, name=name, folders=folders)

    @property
    def parts(self) -> dict[str, torch.nn.Module]:
        """The parts of the networks by name, for measuring."""
        model = self._segmenter.model
        return {
            **self._detector.parts,
            "SAM 2 encoder": model.vision_encoder,
            "SAM 2 decoder": model.mask_decoder,
        }

    @property
    def calibrations(self) -> dict[str, Calibration]:
        """How raw scores of the detector become scores, by kind of prompt; see `Calibration.to_raw_scores`."""
        return self._detector.calibrations

    @property
    def calibration_file(self) -> Path | None:
        """Where a calibration of this detector is read from, if there is one; None for one that has no folder."""
        return None if self._folders is None else Path(self._folders.detector) / FILE_NAME

    @property
    def is_on_gpu(self) -> bool:
        return self._device.type == "cuda"

    @property
    def free_bytes(self) -> int:
        """Memory that is free on the GPU, in bytes; 0 elsewhere."""
        return torch.cuda.mem_get_info(self._device)[0] if self.is_on_gpu else 0

    @property
    def runs_on(self) -> str:
        """Device and number format: 'cpu float32', 'cuda bfloat16'."""
        return f"{self._device.type} {str(self._segmenter.dtype).removeprefix('torch.')}"

    @property
    def device_name(self) -> str:
        """What the device is called: 'NVIDIA H200', or the name of the processor."""
        return describe_device(self._device)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of both folders' files, one after the other; empty for networks that were not read from folders."""
        return "".join(hash_checkpoint(Path(folder), leave_out=()) for folder in self._folders or ())

    def encode(self, images: Sequence[Image]) -> list[OpenEmbedding]:
        at_once = _GPU_IMAGES if self.is_on_gpu else _CPU_IMAGES
        with self._run_safely():
            features = self._detector.encode(images)
            levels = [
                image_levels
                for first in range(0, len(images), at_once)
                for image_levels in self._segmenter.encode(images[first : first + at_once])
            ]
            return [
                OpenEmbedding(image_features, image_levels, image.height, image.width, image.key)
                for image_features, image_levels, image in zip(features, levels, images, strict=True)
            ]

    def decode(
        self, embeddings: Sequence[OpenEmbedding | CrossImageEmbedding], prompts: Sequence[ConceptPrompt]
    ) -> list[Instances]:
        with self._run_safely():
            return [
                build_instances(
                    logits,
                    *_get_size(embedding),
                    boxes=found.boxes,
                    scores=found.scores,
                    presence=found.presence,
                    phrase=prompt.phrase or "",
                )
                for (found, logits), embedding, prompt in zip(
                    self._detect(embeddings, prompts), embeddings, prompts, strict=True
                )
            ]

    def detect(
        self, embeddings: Sequence[OpenEmbedding | CrossImageEmbedding], prompts: Sequence[ConceptPrompt]
    ) -> list[Detections]:
        with self._run_safely():
            return [
                Detections(logits.float().cpu().numpy(), found.scores, found.boxes, found.presence)
                for found, logits in self._detect(embeddings, prompts)
            ]

    def refine(self, embeddings: Sequence[OpenEmbedding], prompts: Sequence[VisualPrompt]) -> list[Instances]:
        at_once = _GPU_MASKS if self.is_on_gpu else _CPU_MASKS
        with self._run_safely():
            return [
                instances
                for first in range(0, len(prompts), at_once)
                for instances in self._segmenter.refine(
                    embeddings[first : first + at_once], prompts[first : first + at_once]
                )
            ]

    @property
    def points_at_once(self) -> int:
        """How many clicks on one image share a pass."""
        return _GPU_MASKS if self.is_on_gpu else _CPU_MASKS

    def segment_points(self, embedding: OpenEmbedding, prompt: PointsPrompt) -> Instances:
        with self._run_safely():
            return self._segmenter.segment_points(embedding, prompt, batch_size=self.points_at_once)

    def open_memory(self, height: int, width: int, length: int) -> VideoMemory:
        return VideoMemory(
            self._video_network,
            (height, width),
            length,
            read_frame=lambda levels: FrameLevels(*levels),
            run_safely=self._run_safely,
        )

    @cached_property
    def _video_network(self) -> VideoNetwork:
        """SAM 2 with its memory, which is read when the first video comes."""
        if self._folders is None:
            raise CheckpointError(f"{self.name!r} was made without memory weights, so it cannot follow objects")
        with self._run_safely():
            memory = read_memory(self._folders.segmenter, self._device, self._segmenter.dtype)
            return VideoNetwork(self._segmenter.model, memory)

    def upsample_masks(self, logits: np.ndarray, height: int, width: int) -> list[RleMask]:
        with self._run_safely():
            return threshold_to_rles(torch.from_numpy(logits).to(self._device), height, width)

    def vocabulary_warning(self, phrase: str) -> str:
        """Return "": both detectors take any phrase."""
        return ""

    def _detect(
        self, embeddings: Sequence[OpenEmbedding | CrossImageEmbedding], prompts: Sequence[ConceptPrompt]
    ) -> list[tuple[FoundBoxes, torch.Tensor]]:
        """Return boxes, and their mask logits (N, h, w) on the device, without duplicates."""
        self._detector.check_prompts(prompts)
        targets = [_get_target(embedding) for embedding in embeddings]
        found = self._detector.detect(
            [_build_request(embedding, prompt) for embedding, prompt in zip(embeddings, prompts, strict=True)]
        )
        # all boxes of all prompts share the passes of SAM 2's decoder
        logits = self._segmenter.segment_boxes(
            [target for target, prompt_boxes in zip(targets, found, strict=True) for _ in prompt_boxes.boxes],
            np.concatenate([np.zeros((0, 4), np.float32), *(prompt_boxes.boxes for prompt_boxes in found)]),
            batch_size=_GPU_MASKS if self.is_on_gpu else _CPU_MASKS,
        )
        split = torch.split(logits, [len(prompt_boxes.boxes) for prompt_boxes in found])
        return [_drop_duplicates(*pair) for pair in zip(found, split, strict=True)]

    @contextmanager
    def _run_safely(self) -> Iterator[None]:
        """Keep other threads out, and say in one sentence what the device cannot do."""
        with self._lock, explain_failures(self._device), torch.inference_mode():
            yield


def _drop_duplicates(found: FoundBoxes, logits: torch.Tensor) -> tuple[FoundBoxes, torch.Tensor]:
    rows = find_distinct_masks(logits)
    return FoundBoxes(found.boxes[rows], found.scores[rows], found.presence), logits[rows]


def _build_request(embedding: OpenEmbedding | CrossImageEmbedding, prompt: ConceptPrompt) -> DetectionRequest:
    target = _get_target(embedding)
    exemplar = embedding.exemplar if isinstance(embedding, CrossImageEmbedding) else target
    return DetectionRequest(
        target.features, exemplar.features, _get_size(target), (exemplar.height, exemplar.width), prompt
    )


def _get_target(embedding: OpenEmbedding | CrossImageEmbedding) -> OpenEmbedding:
    target: OpenEmbedding = embedding.target if isinstance(embedding, CrossImageEmbedding) else embedding
    return target


def _get_size(embedding: OpenEmbedding | CrossImageEmbedding) -> tuple[int, int]:
    target = _get_target(embedding)
    return target.height, target.width


def _require_memory(weight_bytes: int, *, name: str, device: torch.device) -> None:
    """Do nothing if networks of this size, which are read in float32, fit into what is free, with one image.

    Raises `DeviceError` if they do not.
    """
    needed, free = weight_bytes * (100 + _PASS_PERCENT) // 100, read_free_bytes(device)
    if free is not None and needed > free:
        elsewhere = "" if device.type == "cpu" else ", run with --device cpu"
        raise DeviceError(
            f"the open models {name!r} need about {needed / 2**30:.1f} GiB on device {str(device)!r}, and"
            f" {free / 2**30:.1f} GiB are free; end other programs{elsewhere}, or take `--sam3 tiny`"
        )
