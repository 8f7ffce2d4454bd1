"""The SAM 3 that is measured: a checkpoint, or the published architecture at its full size with random weights."""

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import CLIPTokenizer, Sam3Config, Sam3ImageProcessor, Sam3Model, Sam3Processor

from sam3_tool import Sam3
from sam3_tool.backends.transformers.backend import TransformersBackend
from sam3_tool.backends.transformers.files.checkpoint import locate_checkpoint
from sam3_tool.backends.transformers.files.weights import Processors, read_detector
from sam3_tool.backends.transformers.hardware.devices import resolve_device

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
        """A copy that shares the encoders' matrices, which are nearly all weights.

        The product converts the other weights, so those are copied.
        """
        encoders = (self.model.vision_encoder, self.model.text_encoder)
        weights = (weight for part in encoders for weight in part.parameters())
        return copy.deepcopy(self.model, {id(weight): weight for weight in weights if weight.ndim > 1})

    def to_float32(self) -> "Network":
        """Return a network of the same weights in the format that transformers loads them in."""
        return Network(copy.deepcopy(self.model).float(), self.processor)

    def build_backend(self, *, compile: str | None = None) -> TransformersBackend:
        """Return the product's backend on the same weights."""
        readers = Processors(self.processor.tokenizer, self.processor.image_processor)
        return TransformersBackend(self._copy_model(), readers, name="measured", vocabulary=None, compile=compile)

    def build_sam3(self) -> Sam3:
        """Return the product on the same weights, compiled if this network says so."""
        return Sam3(self.build_backend(compile=self.compile))


def load_network(name: str, *, device: str, dtype: torch.dtype, compile: str | None = None) -> Network:
    """Load a network.

    Args:
        name: 'full', or whatever `Sam3.load` takes.
        device: 'cpu', 'cuda', 'cuda:1' ...
        dtype: The format of the weights.
        compile: How ours is compiled, as in `Sam3.load`.

    Returns:
        The network on its device.

    Raises:
        DeviceError: The device is not there.
    """
    place = resolve_device(device)
    model, readers = (
        build_random_network(place, dtype) if name == FULL else read_detector(locate_checkpoint(name), dtype)
    )
    processor = Sam3Processor(readers.image_processor, readers.tokenizer)
    return Network(model.eval().to(place, memory_format=torch.channels_last), processor, compile)


def build_random_network(device: torch.device, dtype: torch.dtype) -> tuple[Any, Processors]:
    """Make SAM 3 of full size with random weights on a device, in the format that its weights have from the start."""
    torch.manual_seed(0)
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)  # a later conversion would need memory for the weights twice
    try:
        with device:
            model = Sam3Model(Sam3Config())
    finally:
        torch.set_default_dtype(before)
    # the phrases are a few tokens in any vocabulary, so the embedded one will do
    tokenizer = CLIPTokenizer.from_pretrained(Path(locate_checkpoint("tiny")))
    return model, Processors(tokenizer, Sam3ImageProcessor())
