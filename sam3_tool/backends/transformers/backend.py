"""SAM 3 on transformers' detector and tracker: the function of the published model, with no post-processing."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from threading import Lock
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np
import torch
from torch.nn.utils.rnn import pad_sequence
from torchvision.transforms.v2.functional import resize
from transformers.modeling_outputs import BaseModelOutputWithPooling
from transformers.models.sam3.modeling_sam3 import Sam3VisionEncoderOutput

from sam3_tool.backends.base import CrossImageEmbedding, Detections
from sam3_tool.backends.transformers.files.checkpoint import EMBEDDED_NAME, hash_checkpoint
from sam3_tool.backends.transformers.files.mask_refiner import has_refiner, read_refiner
from sam3_tool.backends.transformers.files.memory_needs import require_memory, sum_weight_bytes
from sam3_tool.backends.transformers.files.vocabulary import Vocabulary
from sam3_tool.backends.transformers.files.weights import Processors, read_detector, read_memory, read_tracker
from sam3_tool.backends.transformers.hardware.compile import compile_parts
from sam3_tool.backends.transformers.hardware.devices import (
    choose_memory_format,
    describe_device,
    read_free_bytes,
    resolve_device,
    resolve_dtype,
)
from sam3_tool.backends.transformers.hardware.failures import check_numbers, explain_failures
from sam3_tool.backends.transformers.hardware.transfers import to_device, to_host, upload_pixels
from sam3_tool.backends.transformers.layers.mask_decoder import MaskHead
from sam3_tool.backends.transformers.layers.precision import keep_residuals_float32
from sam3_tool.backends.transformers.layers.published import match_published_numbers
from sam3_tool.backends.transformers.layers.pyramid import SharedPyramid
from sam3_tool.backends.transformers.layers.rotary import join_tensors, replace_rotary_attention
from sam3_tool.backends.transformers.layers.shared_fusion import SharedFusionLayer
from sam3_tool.backends.transformers.layers.upsampling import build_instances, threshold_to_rles
from sam3_tool.backends.transformers.students.trunk import is_student
from sam3_tool.backends.transformers.text import PromptEncoder
from sam3_tool.backends.transformers.tracker import Tracker
from sam3_tool.backends.transformers.video.refinement import NO_SQUARE, SQUARE_SIDE, enlarge_masks
from sam3_tool.concepts.concept import Concept
from sam3_tool.errors import CheckpointError
from sam3_tool.image import Image
from sam3_tool.instances import Instances
from sam3_tool.masks.boxes import to_pixels
from sam3_tool.masks.rle import RleMask
from sam3_tool.probability import ProbabilityEstimator, describe_stale_estimator, locate_estimator, read_estimator
from sam3_tool.prompts import PUBLISHED_THRESHOLDS, ConceptPrompt, PointsPrompt, VisualPrompt

if TYPE_CHECKING:
    from sam3_tool.backends.transformers.video.memory import VideoMemory
    from sam3_tool.backends.transformers.video.network import FrameReader, VideoNetwork

_CPU_TOKENS, _GPU_TOKENS = 72 * 72, 16 * 72 * 72
"""Image tokens in one forward pass. facebook/sam3 has 72 x 72 per image, at some 300 MB in float32; a CPU takes two
together a tenth longer than one after the other."""

_EMBEDDED_THRESHOLDS = (0.75, 0.85)
"""Of 36 pairs, the one that finds most objects and least else in 14 generated scenes (F1 at an IoU of .5: .62, and .07
with the published pair)."""
_MAX_POINTS, _POINTS_PER_IMAGE = 64, 8
"""Clicks on one image in one pass: at most, and in the place of one image; they share what the encoder made."""

ANY_PHRASE = "`--sam3 open` (no access needed) and `--sam3 facebook/sam3` take any phrase."
PHOTOGRAPHS = "for photographs use `--sam3 open` (no access needed) or `--sam3 facebook/sam3`."

_NO_TRACKER = CheckpointError("this SAM 3 was made without a tracker, so it cannot follow clicks")

Item = TypeVar("Item")


@dataclass(frozen=True, eq=False)
class ImageEmbedding:
    """What detector and tracker read of one image.

    The tracker's own levels, made for the first click, live as long (10 MB more for an image of facebook/sam3 in 16
    bits).
    """

    levels: tuple[torch.Tensor, ...]
    """The feature pyramid, finest level first, each (1, C, h, w); all but the coarsest as the pixel decoder shares them
    among phrases."""
    height: int
    """Height of the image in pixels."""
    width: int
    trunk: torch.Tensor
    """The vision trunk's last state, (1, tokens, C), from which the tracker's neck starts; without tokens where the
    checkpoint has no tracker."""
    cls_token: torch.Tensor
    """The CLS token of a prompt without boxes, (1, 1, C)."""
    key: str
    """The image's."""
    device: torch.device | None = None
    """The network's, while this waits in the host's memory."""
    square: torch.Tensor = NO_SQUARE
    """What `MaskRefiner` reads of the image, uint8, (3, SQUARE_SIDE, SQUARE_SIDE), where the checkpoint has one."""

    @property
    def coarsest(self) -> torch.Tensor:
        """The last level, (1, C, h, w)."""
        return self.levels[-1]

    @property
    def nbytes(self) -> int:
        return sum(tensor.nbytes for tensor in (self.trunk, self.cls_token, self.square, *self.levels))

    def copy_to_host(self) -> "ImageEmbedding":
        """Copy to the host's memory. The host must not read the copy: it may still be on its way."""
        return replace(self._copy_tensors(to_host), device=self.trunk.device)

    def copy_to_device(self) -> "ImageEmbedding":
        """Copy back to the device where it was made."""
        home = self.device or self.trunk.device
        return replace(self._copy_tensors(lambda tensor: to_device(tensor, home)), device=None)

    @torch.inference_mode()  # of the kind that the network has made, so that nothing is compiled anew for them
    def _copy_tensors(self, copy_tensor: Callable[[torch.Tensor], torch.Tensor]) -> "ImageEmbedding":
        with explain_failures(self.device or self.trunk.device):
            levels = tuple(copy_tensor(level) for level in self.levels)
            trunk, cls_token, square = (copy_tensor(each) for each in (self.trunk, self.cls_token, self.square))
            return replace(self, levels=levels, trunk=trunk, cls_token=cls_token, square=square)


class TransformersBackend:
    """SAM 3 on transformers. Safe to share between threads; they take turns.

    - A prompt without boxes carries the geometry encoder's CLS token, as in the published model: see `text`.
    - Score = sigmoid(query logit) * sigmoid(presence logit); kept are scores strictly above the prompt's threshold.
    - Mask logits are upsampled to the image (bilinear, corners not aligned) and cut at 0 after that.
    - Boxes are the detector's, not clipped. Order: score; ties keep the order of the queries.
    """

    def __init__(
        self,
        model: Any,
        processors: Processors,
        *,
        name: str,
        vocabulary: Vocabulary | None,
        tracker: Any = _NO_TRACKER,
        compile: str | None = None,
        folder: Path | None = None,
    ) -> None:
        """Take over a `Sam3Model` on its device, in evaluation mode.

        `tracker` is the `Sam3TrackerModel` on the same vision trunk, or the error that says why there is none. For
        `compile` see `compile_parts`.
        """
        self.name = name
        self._folder = folder
        self._has_refiner = folder is not None and has_refiner(folder)
        self._tracker = tracker if isinstance(tracker, CheckpointError) else Tracker(tracker)
        self._vocabulary = vocabulary
        self._estimator = None if folder is None else read_estimator(folder)
        match_published_numbers(model)
        if not is_student(model.vision_encoder.backbone):
            replace_rotary_attention(model.vision_encoder.backbone)
        convolutions = model.mask_decoder.pixel_decoder.conv_layers
        model.vision_encoder.neck = SharedPyramid(model.vision_encoder.neck, convolutions)
        self._fusion = SharedFusionLayer(model.detr_encoder.layers[0])
        model.detr_encoder.layers[0] = self._fusion
        self._mask_head = MaskHead(model.mask_decoder)
        model.mask_decoder = _DeferredMaskDecoder()
        self._model = model if model.dtype == torch.float32 else keep_residuals_float32(model)
        self._images = processors.image_processor
        colors = (self._images.image_mean, self._images.image_std)
        self._mean, self._std = (torch.tensor(color, device=model.device).view(3, 1, 1) for color in colors)
        self._lock = Lock()  # one thread at a time in everything below, and in transformers' own caches
        self._prompts = PromptEncoder(self._model, processors.tokenizer)
        self._positions: tuple[torch.Tensor, ...] = ()
        self._compiled = compile is not None
        if compile is not None:
            compile_parts(self._model, compile)

    @classmethod
    def load(
        cls, folder: Path, *, name: str, device: str = "auto", dtype: str = "auto", compile: str | None = None
    ) -> "TransformersBackend":
        """Load the folder of a checkpoint; see `Sam3.load`. Raises `CheckpointError` or `DeviceError`."""
        place = resolve_device(device)
        number_format = resolve_dtype(dtype, place, sum_weight_bytes(folder))
        require_memory(folder, name=name, device=place, dtype=number_format)
        model, processors = read_detector(folder, number_format)
        try:
            tracker = read_tracker(folder, model)
        except CheckpointError as error:  # phrases and boxes work without it
            tracker = error
        vocabulary = Vocabulary.from_folder(folder)
        with explain_failures(place):
            layout = choose_memory_format(place)
            model = model.to(place, memory_format=layout)
            if not isinstance(tracker, CheckpointError):
                tracker = tracker.to(place, memory_format=layout)
            return cls(
                model,
                processors,
                name=name,
                vocabulary=vocabulary,
                tracker=tracker,
                compile=compile,
                folder=folder,
            )

    @property
    def parts(self) -> dict[str, torch.nn.Module]:
        """The parts of the network by name, for measuring."""
        model = self._model
        return {
            "vision encoder": model.vision_encoder,
            "text encoder": model.text_encoder,
            "geometry encoder": model.geometry_encoder,
            "fusion encoder": model.detr_encoder,
            "decoder": model.detr_decoder,
            "scoring": model.dot_product_scoring,
            "mask head": self._mask_head,
        }

    @property
    def is_on_gpu(self) -> bool:
        return bool(self._model.device.type == "cuda")

    @property
    def free_bytes(self) -> int:
        """Memory that is free on the GPU, in bytes; 0 elsewhere."""
        return (read_free_bytes(self._model.device) or 0) if self.is_on_gpu else 0

    @property
    def runs_on(self) -> str:
        """Device and number format: 'cpu float32', 'cuda bfloat16', 'cuda bfloat16 compiled'."""
        compiled = " compiled" if self._compiled else ""
        return f"{self._model.device.type} {str(self._model.dtype).removeprefix('torch.')}{compiled}"

    @property
    def device_name(self) -> str:
        """What the device is called: 'NVIDIA H200', or the name of the processor."""
        return describe_device(self._model.device)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the checkpoint's files; empty for a network that was not read from a folder."""
        return "" if self._folder is None else hash_checkpoint(self._folder)

    @cached_property
    def calibration_fault(self) -> str:
        """Why the file with mask probabilities is of no use: it was fitted for other weights; '' where it is."""
        if self._estimator is None or self._folder is None:
            return ""
        return describe_stale_estimator(self._estimator, self.fingerprint, locate_estimator(self._folder))

    @property
    def probability_estimator(self) -> ProbabilityEstimator | None:
        """How likely masks are right; None where nobody has fitted it for these very weights."""
        return None if self.calibration_fault else self._estimator

    def encode(self, images: Sequence[Image]) -> list[ImageEmbedding]:
        with self._run_safely():
            return [embedding for batch in self._split_passes(images) for embedding in self._encode_pass(batch)]

    def decode(self, embeddings: Sequence[ImageEmbedding], prompts: Sequence[ConceptPrompt]) -> list[Instances]:
        self._check_concepts(prompts)
        pairs = list(zip(embeddings, prompts, strict=True))
        with self._run_safely():
            return [instances for batch in self._split_passes(pairs) for instances in self._decode_pass(batch)]

    def refine(self, embeddings: Sequence[ImageEmbedding], prompts: Sequence[VisualPrompt]) -> list[Instances]:
        if isinstance(self._tracker, CheckpointError):
            raise self._tracker
        pairs = list(zip(embeddings, prompts, strict=True))
        with self._run_safely():
            return [
                instances
                for batch in self._split_passes(pairs)
                for instances in self._tracker.refine(
                    [embedding for embedding, _ in batch], [prompt for _, prompt in batch]
                )
            ]

    def describe_examples(self, embedding: ImageEmbedding, prompt: ConceptPrompt) -> Concept:
        with self._run_safely():
            examples, surroundings = self._prompts.describe_examples(prompt, embedding, self._positions[-1])
        dtype = str(self._model.dtype).removeprefix("torch.")
        phrase = (prompt.phrase or "").strip() or None
        return Concept(examples, prompt.box_labels, surroundings, phrase, self.fingerprint, self.name, dtype)

    def _check_concepts(self, prompts: Sequence[ConceptPrompt]) -> None:
        """Raise ConceptError for a concept that other weights have made."""
        for concept in {prompt.concept for prompt in prompts if prompt.concept is not None}:
            concept.check_weights(self.fingerprint, self.name, width=self._model.config.detr_encoder_config.hidden_size)

    @property
    def point_thresholds(self) -> tuple[float, float]:
        """Predicted IoU and stability that everything mode asks for by itself."""
        return _EMBEDDED_THRESHOLDS if self.name == EMBEDDED_NAME else PUBLISHED_THRESHOLDS

    def segment_points(self, embedding: ImageEmbedding, prompt: PointsPrompt) -> Instances:
        if isinstance(self._tracker, CheckpointError):
            raise self._tracker
        with self._run_safely():
            return self._tracker.segment_points(embedding, prompt, batch_size=self.points_at_once)

    def open_memory(self, height: int, width: int, length: int) -> "VideoMemory":
        from sam3_tool.backends.transformers.video.memory import VideoMemory

        network, read_frame = self.video_parts
        return VideoMemory(network, (height, width), length, read_frame=read_frame, run_safely=self._run_safely)

    @cached_property
    def video_parts(self) -> "tuple[VideoNetwork, FrameReader]":
        """The tracker with its memory, which is read when the first video comes."""
        from sam3_tool.backends.transformers.video.network import FrameReader, VideoNetwork

        if isinstance(self._tracker, CheckpointError):
            raise self._tracker
        if self._folder is None:
            raise CheckpointError(f"SAM 3 {self.name!r} was made without memory weights, so it cannot follow objects")
        with self._run_safely():
            device = self._model.device
            memory = read_memory(self._folder, self._model.dtype).to(device)
            refiner = read_refiner(self._folder, device) if self._has_refiner else None
            return VideoNetwork(self._tracker.model, memory, refiner), FrameReader(self._tracker.model)

    def detect(self, embeddings: Sequence[ImageEmbedding], prompts: Sequence[ConceptPrompt]) -> list[Detections]:
        self._check_concepts(prompts)
        pairs = list(zip(embeddings, prompts, strict=True))
        with self._run_safely():
            found = [each for batch in self._split_passes(pairs) for each in self._detect_pass(batch)]
            return [
                Detections(
                    # as large as what the tracker says
                    (enlarge_masks(each.logits) if self._has_refiner else each.logits).float().cpu().numpy(),
                    each.scores,
                    each.boxes,
                    each.presence,
                )
                for each in found
            ]

    def upsample_masks(self, logits: np.ndarray, height: int, width: int) -> list[RleMask]:
        with self._run_safely():
            return threshold_to_rles(torch.from_numpy(logits).to(self._model.device), height, width)

    def pool_embedding(self, embedding: ImageEmbedding) -> np.ndarray:
        """Return the mean over the image's places of the coarsest features, float32 (C,)."""
        with self._run_safely():
            pooled: np.ndarray = embedding.coarsest.float().mean(dim=(0, 2, 3)).cpu().numpy()
            return pooled

    def find_unknown_words(self, phrase: str) -> list[str]:
        return [] if self._vocabulary is None else self._vocabulary.find_unknown_words(phrase)

    def vocabulary_warning(self, phrase: str) -> str:
        """Say in one sentence what a checkpoint with a closed vocabulary does not know, and what to use instead."""
        if self._vocabulary is None:
            return ""
        checkpoint = "The embedded SAM 3" if self.name == EMBEDDED_NAME else f"The SAM 3 checkpoint {self.name}"
        words = ", ".join(dict.fromkeys(f"'{word}'" for word in self._vocabulary.find_unknown_words(phrase)))
        if words:
            return f"{checkpoint} does not know {words}; {ANY_PHRASE}"
        return f"{checkpoint} has only ever seen drawn scenes; {PHOTOGRAPHS}"

    @contextmanager
    def _run_safely(self) -> Iterator[None]:
        """Keep other threads out, and say in one sentence what the device cannot do."""
        with self._lock, explain_failures(self._model.device), torch.inference_mode():
            yield

    @property
    def points_at_once(self) -> int:
        """How many clicks on one image share a pass: 64 as published, or what memory allows."""
        vision = self._model.config.vision_config.backbone_config
        tokens = int(vision.image_size // vision.patch_size) ** 2
        return max(1, min(_MAX_POINTS, _POINTS_PER_IMAGE * (_GPU_TOKENS if self.is_on_gpu else _CPU_TOKENS) // tokens))

    def _split_passes(self, items: Sequence[Item]) -> Iterator[Sequence[Item]]:
        """Split into as few forward passes as memory allows, of nearly the same size."""
        vision = self._model.config.vision_config.backbone_config
        most = (_GPU_TOKENS if self.is_on_gpu else _CPU_TOKENS) // (vision.image_size // vision.patch_size) ** 2
        passes = -(-len(items) // max(1, most))
        for index in range(passes):
            yield items[index * len(items) // passes : (index + 1) * len(items) // passes]

    def _encode_pass(self, images: Sequence[Image]) -> list[ImageEmbedding]:
        squares = torch.cat([self._to_square(image) for image in images])
        vision = self._model.get_vision_features(squares.to(self._model.device, self._model.dtype))
        # the positions are the same for every image
        levels, positions = vision.fpn_hidden_states, vision.fpn_position_encoding
        self._positions = self._positions or tuple(level[:1].clone() for level in positions)
        trunk = vision.last_hidden_state
        trunk = trunk if isinstance(self._tracker, Tracker) else trunk[:, :0]
        cls_tokens = self._prompts.compute_cls_tokens(levels[-1], positions[-1])
        return [
            # clones, because a view would keep the whole batch in memory
            ImageEmbedding(
                tuple(level[row : row + 1].clone() for level in levels),
                image.height,
                image.width,
                trunk[row : row + 1].clone(),
                cls_tokens[row : row + 1].clone(),
                image.key,
                square=self._read_square(image),
            )
            for row, image in enumerate(images)
        ]

    def _to_square(self, image: Image) -> torch.Tensor:
        """Squeeze the image into the network's square while it is uint8, then normalise it: float32, (1, 3, S, S)."""
        size = self._images.size
        square = self._squeeze_pixels(image, size["height"], size["width"])
        return (square.float() / 255.0 - self._mean) / self._std

    def _read_square(self, image: Image) -> torch.Tensor:
        if not self._has_refiner:
            return NO_SQUARE
        return self._squeeze_pixels(image, SQUARE_SIDE, SQUARE_SIDE)[0]

    def _squeeze_pixels(self, image: Image, height: int, width: int) -> torch.Tensor:
        """Return uint8, (1, 3, height, width), on the network's device."""
        pixels = upload_pixels(image.pixels, self._model.device).permute(2, 0, 1)[None]
        square: torch.Tensor = resize(pixels, [height, width], antialias=True)
        return square

    def _decode_pass(
        self, pairs: Sequence[tuple[ImageEmbedding | CrossImageEmbedding, ConceptPrompt]]
    ) -> list[Instances]:
        return [
            build_instances(
                found.logits,
                _get_target(embedding).height,
                _get_target(embedding).width,
                boxes=found.boxes,
                scores=found.scores,
                presence=found.presence,
                phrase=prompt.phrase or "",
            )
            for found, (embedding, prompt) in zip(self._detect_pass(pairs), pairs, strict=True)
        ]

    def _detect_pass(
        self, pairs: Sequence[tuple[ImageEmbedding | CrossImageEmbedding, ConceptPrompt]]
    ) -> list["_Found"]:
        embeddings, prompts = [_get_target(embedding) for embedding, _ in pairs], [prompt for _, prompt in pairs]
        examples = [_get_exemplar(embedding) for embedding, _ in pairs]
        features, mask = self._prompts(prompts, examples, self._positions[-1])
        self._fusion.share_images(None if self._compiled else number_images(embeddings))
        output = self._model(
            vision_embeds=self._stack_vision(embeddings),
            text_embeds=BaseModelOutputWithPooling(pooler_output=features),
            attention_mask=mask,
        )
        presences = output.presence_logits.float().sigmoid()
        scores = (output.pred_logits.float().sigmoid() * presences).cpu()
        check_numbers(scores.numpy(), f"SAM 3 on device {str(self._model.device)!r}")
        presence = presences[:, 0].tolist()
        predicted = output.pred_boxes.float().cpu().numpy()
        # stable, so that ties keep the order of the queries
        orders = scores.argsort(dim=1, descending=True, stable=True)
        kept = [
            order[row[order] > prompt.threshold] for row, order, prompt in zip(scores, orders, prompts, strict=True)
        ]
        logits = self._compute_logits(output.pred_masks, embeddings, kept)
        return [
            _Found(
                logits[row],
                scores[row][kept[row]].numpy(),
                to_pixels(predicted[row][kept[row].numpy()], embedding.height, embedding.width).astype(np.float32),
                presence[row],
            )
            for row, embedding in enumerate(embeddings)
        ]

    def _stack_vision(self, embeddings: Sequence[ImageEmbedding]) -> Sam3VisionEncoderOutput:
        """Stack the coarsest level, one row per embedding; the others are for the mask head.

        An image that is alone in the batch is not copied for its many prompts.
        """
        count, first = len(embeddings), embeddings[0]
        if all(embedding is first for embedding in embeddings):
            level = first.coarsest.expand(count, -1, -1, -1)
        else:
            level = torch.cat([embedding.coarsest for embedding in embeddings])
        positions = self._positions[-1].expand(count, -1, -1, -1)
        # `Sam3Model` drops the last level, as it does with its own
        return Sam3VisionEncoderOutput(fpn_hidden_states=(level, level), fpn_position_encoding=(positions, positions))

    def _compute_logits(
        self, inputs: dict[str, Any], embeddings: Sequence[ImageEmbedding], kept: Sequence[torch.Tensor]
    ) -> list[torch.Tensor]:
        """Run the mask head for the kept queries of every row: (len(kept[row]), h, w) each.

        A GPU takes all rows at once, for it is the number of launches that counts there; a CPU gains nothing by that.
        """
        logits = [torch.zeros(0, 1, 1)] * len(kept)
        rows = [row for row, queries in enumerate(kept) if len(queries)]
        is_cpu = self._model.device.type == "cpu"
        # facebook/sam3 on a CPU: 1.0 s for each row of a pair, 0.6 s for a row alone (benchmarks/NOTES.md)
        for row_group in [[row] for row in rows] if is_cpu or not rows else [rows]:
            for row, made in zip(row_group, self._run_mask_head(inputs, embeddings, row_group, kept), strict=True):
                logits[row] = made[: len(kept[row])]
        return logits

    def _run_mask_head(
        self,
        inputs: dict[str, Any],
        embeddings: Sequence[ImageEmbedding],
        rows: list[int],
        kept: Sequence[torch.Tensor],
    ) -> torch.Tensor:
        """Return logits (len(rows), n, h, w) of these rows, where n is the most that one of them keeps."""
        every = inputs["decoder_queries"]
        queries = pad_sequence([every[row, kept[row].to(every.device)] for row in rows], batch_first=True)
        row_index = slice(rows[0], rows[0] + 1) if len(rows) == 1 else rows  # a slice copies nothing
        made: torch.Tensor = self._mask_head(
            queries.to(self._model.dtype),
            [join_tensors(same) for same in zip(*(embeddings[row].levels for row in rows), strict=True)],
            inputs["encoder_hidden_states"][row_index],
            inputs["prompt_features"][row_index],
            inputs["prompt_mask"][row_index].bool(),
        )
        return made


class _Found(NamedTuple):
    """The `Detections` of one prompt, whose logits, (N, h, w), are still on the network's device."""

    logits: torch.Tensor
    scores: np.ndarray
    boxes: np.ndarray
    presence: float


def number_images(embeddings: Sequence[ImageEmbedding]) -> list[int]:
    """Return the number of each row's image, counted from 0 in the order in which they come."""
    numbers: dict[int, int] = {}
    return [numbers.setdefault(id(embedding), len(numbers)) for embedding in embeddings]


def _get_target(embedding: ImageEmbedding | CrossImageEmbedding) -> ImageEmbedding:
    return embedding.target if isinstance(embedding, CrossImageEmbedding) else embedding


def _get_exemplar(embedding: ImageEmbedding | CrossImageEmbedding) -> ImageEmbedding:
    """Return the embedding of the image that the exemplar boxes lie in."""
    return embedding.exemplar if isinstance(embedding, CrossImageEmbedding) else embedding


class _DeferredMaskDecoder(torch.nn.Module):
    """Stands in the mask decoder's place and hands on what that would work on.

    The scores decide afterwards which queries get a mask. Most get none, and a concept that is absent costs nothing.
    """

    def forward(self, **inputs: Any) -> SimpleNamespace:
        return SimpleNamespace(pred_masks=inputs, semantic_seg=None, attentions=None)
