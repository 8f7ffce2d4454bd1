"""Write a trained model as a folder that `from_pretrained` reads like any published checkpoint."""

import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import CLIPTokenizer, Sam3Model, Sam3Processor
from transformers.models.sam3.image_processing_sam3 import Sam3ImageProcessor

from sam3_tool.training.architecture import IMAGE_SIDE, MASK_SIDE, whole_config
from sam3_tool.training.vocabulary import known_words

DETECTOR_PREFIX = "detector_model."
"""Keys as in `Sam3VideoModel.state_dict()`, which detector, tracker and video classes all read."""


def export(model: Sam3Model, tokenizer: CLIPTokenizer, folder: Path) -> None:
    """Config, half-precision weights, processor, tokenizer and the list of known words."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = {
        DETECTOR_PREFIX + name: value.detach().to(torch.float16).contiguous()
        for name, value in model.state_dict().items()
    }
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    config = whole_config(model.config)
    config.dtype = torch.float16
    config.save_pretrained(folder)
    square, mask = {"height": IMAGE_SIDE, "width": IMAGE_SIDE}, {"height": MASK_SIDE, "width": MASK_SIDE}
    Sam3Processor(Sam3ImageProcessor(size=square, mask_size=mask), tokenizer).save_pretrained(folder)
    (folder / "vocabulary.json").write_text(json.dumps({"words": known_words()}, indent=0) + "\n", encoding="utf-8")
