"""The SAM 3 that is measured: a checkpoint, or the published architecture at its full size with random weights."""

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import CLIPTokenizer, Sam3Config, Sam3ImageProcessor, Sam3Model, Sam3Processor

from sam3_tool import Sam3
from sam3_tool.backends.transformers.backend import TransformersBackend, resolve_device
from sam3_tool.backends.transformers.checkpoint import locate_checkpoint
from sam3_tool.backends.transformers.weights import Processors, read_detector

FULL = "full"
"""848 M parameters, 1008 x 1008 pixels: times are those of facebook/sam3, answers mean nothing."""


@dataclass(frozen=True, eq=False)
class Network:
    """A detector and its processor, on their device."""

    model: Any
    processor: Any
    compile: str | None = None
    """How ours is compiled, as in `Sam3.load`."""

    @property
    def device(self) -> torch.device:
        return torch.device(self.model.device)

    def _copy_model(self) -> Any:
        """Modules of their own; of the weights only the encoders' matrices, which are nearly all, are shared, for the
        product gives others another format."""
        encoders = (self.model.vision_encoder, self.model.text_encoder)
        weights = (weight for part in encoders for weight in part.parameters())
        return copy.deepcopy(self.model, {id(weight): weight for weight in weights if weight.ndim > 1})

    def to_float32(self) -> "Network":
        """The same weights as transformers loads them by itself."""
        return Network(copy.deepcopy(self.model).float(), self.processor)

    def build_backend(self, *, compile: str | None = None) -> TransformersBackend:
        """The product's, on the same weights."""
        readers = Processors(self.processor.tokenizer, self.processor.image_processor)
        return TransformersBackend(self._copy_model(), readers, name="measured", vocabulary=None, compile=compile)

    def build_sam3(self) -> Sam3:
        return Sam3(self.build_backend(compile=self.compile))


def load_network(name: str, *, device: str, dtype: torch.dtype, compile: str | None = None) -> Network:
    """`name`: 'full', or whatever `Sam3.load` takes. Raises `DeviceError` for a device that is not there."""
    place = resolve_device(device)
    model, readers = (
        _build_random_network(place, dtype) if name == FULL else read_detector(locate_checkpoint(name), dtype)
    )
    processor = Sam3Processor(readers.image_processor, readers.tokenizer)
    return Network(model.eval().to(place, memory_format=torch.channels_last), processor, compile)


def _build_random_network(device: torch.device, dtype: torch.dtype) -> tuple[Any, Processors]:
    torch.manual_seed(0)
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)  # no moment in which the weights exist twice
    try:
        with device:
            model = Sam3Model(Sam3Config())
    finally:
        torch.set_default_dtype(before)
    tokenizer = CLIPTokenizer.from_pretrained(
        Path(locate_checkpoint("tiny"))
    )  # the phrases are few tokens in any of them
    return model, Processors(tokenizer, Sam3ImageProcessor())
