"""Write a trained model as a folder that `from_pretrained` reads like any published checkpoint."""

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from transformers import CLIPTokenizer, Sam3Model, Sam3Processor
from transformers.models.sam3.image_processing_sam3 import Sam3ImageProcessor

from sam3_tool.backends.transformers.files.checkpoint import REFINER_FILE
from sam3_tool.backends.transformers.video.refinement import MaskRefiner
from sam3_tool.synthetic.nouns import list_known_words
from sam3_tool.training.networks.architecture import IMAGE_SIDE, MASK_SIDE, build_video_config

DETECTOR_PREFIX = "detector_model."
"""Keys as in `Sam3VideoModel.state_dict()`, which detector, tracker and video classes all read."""
NECK_PREFIX, TRACKER_PREFIX = "tracker_neck.", "tracker_model."
_BESIDES_WEIGHTS = (
    "config.json",
    "processor_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "vocabulary.json",
)
_LEARNT_NECK, _LEARNT = "sam3.vision_encoder.neck.", "sam3."


def export_checkpoint(model: Sam3Model, tokenizer: CLIPTokenizer, folder: Path) -> None:
    """Write config, half-precision weights, processor, tokenizer and the list of known words."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = {
        DETECTOR_PREFIX + name: value.detach().to(torch.float16).contiguous()
        for name, value in model.state_dict().items()
    }
    _save_whole(weights, folder / "model.safetensors")
    config = build_video_config(model.config)
    config.dtype = torch.float16
    config.save_pretrained(folder)
    square, mask = {"height": IMAGE_SIDE, "width": IMAGE_SIDE}, {"height": MASK_SIDE, "width": MASK_SIDE}
    Sam3Processor(Sam3ImageProcessor(size=square, mask_size=mask), tokenizer).save_pretrained(folder)
    (folder / "vocabulary.json").write_text(
        json.dumps({"words": list_known_words()}, indent=0) + "\n", encoding="utf-8"
    )


def export_tracker(learnt: Mapping[str, torch.Tensor], source: Path, folder: Path) -> None:
    """Write the checkpoint in `source` with this tracker head; its detector stays as it is, bit for bit.

    `learnt`: the weights of a `LearningTracker` without its trunk.
    """
    folder.mkdir(parents=True, exist_ok=True)
    weights = {k: v for k, v in load_file(source / "model.safetensors").items() if k.startswith(DETECTOR_PREFIX)}
    for name, value in learnt.items():
        if not name.startswith(_LEARNT):
            continue  # a head that only training needs
        key = (
            NECK_PREFIX + name.removeprefix(_LEARNT_NECK)
            if name.startswith(_LEARNT_NECK)
            else TRACKER_PREFIX + name.removeprefix(_LEARNT)
        )
        weights[key] = value.detach().to(torch.float16).contiguous()
    _save_whole(weights, folder / "model.safetensors")
    _copy_files(source, folder, (*_BESIDES_WEIGHTS, REFINER_FILE))


def export_memory(learnt: Mapping[str, torch.Tensor], source: Path, folder: Path) -> None:
    """Write the checkpoint in `source` with this memory; all that was there before stays as it is, bit for bit.

    `learnt`: weights of a `LearningMemory`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    weights = load_file(source / "model.safetensors")
    for name, value in learnt.items():
        key = TRACKER_PREFIX + name.removeprefix(_LEARNT)
        weights[key] = value.detach().to(torch.float16).contiguous()
    _save_whole(weights, folder / "model.safetensors")
    _copy_files(source, folder, (*_BESIDES_WEIGHTS, REFINER_FILE))


def export_refiner(refiner: MaskRefiner, source: Path, folder: Path) -> None:
    """Write the checkpoint in `source` with what refines its masks in videos; all else stays as it is, bit for bit."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = {name: value.detach().to(torch.float16).contiguous() for name, value in refiner.state_dict().items()}
    _save_whole(weights, folder / REFINER_FILE)
    _copy_files(source, folder, (*_BESIDES_WEIGHTS, "model.safetensors"))


def _copy_files(source: Path, folder: Path, names: Sequence[str]) -> None:
    """Copy files that are there."""
    if folder.resolve() == source.resolve():
        return
    for name in names:
        if (source / name).exists():
            shutil.copyfile(source / name, folder / name)


def _save_whole(weights: dict[str, torch.Tensor], path: Path) -> None:
    """Write under another name until it is whole: a run may be killed, or export over the checkpoint it started from.

    Some versions of safetensors write in place.
    """
    save_file(weights, path.with_suffix(".new"), metadata={"format": "pt"})
    path.with_suffix(".new").replace(path)
