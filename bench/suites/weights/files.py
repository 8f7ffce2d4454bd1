"""SAM 3 as it is published, at its full size with random weights: `sam3.pt`, and the folder that it is converted to."""

import gzip
import re
from itertools import islice, product
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import Sam3ImageProcessor, Sam3VideoConfig
from transformers.convert_slow_tokenizer import bytes_to_unicode

from sam3_tool.backends.transformers.native.conversion import convert_weights
from sam3_tool.backends.transformers.native.files import NativeFile
from sam3_tool.backends.transformers.native.tokenizer import MERGES_FILE, read_merges

WORDS = 49_408
"""Tokens that the text encoder knows."""
_NAMES = Path(__file__).with_name("published_names.txt")
_NAMES_31 = Path(__file__).with_name("published_names_31.txt")
"""Of SAM 3.1: those that SAM 3 has not, or has with another shape."""
_STUDENT_NAMES = Path(__file__).with_name("published_student_names.txt")
"""Of EfficientSAM3's nine trunks, below `trunk.model.`."""
_VISION = "detector.backbone.vision_backbone."
_SPREAD = 0.02


def list_published_shapes() -> dict[str, tuple[tuple[int, ...], torch.dtype]]:
    """Return shape and format of each of the 1465 weights in `sam3.pt`, by its name.

    >>> list_published_shapes()["detector.backbone.vision_backbone.trunk.pos_embed"]
    ((1, 577, 1024), torch.float32)
    """
    return _read_names(_NAMES.read_text(encoding="utf-8"))


def list_published_shapes_31() -> dict[str, tuple[tuple[int, ...], torch.dtype]]:
    """Return shape and format of each of the 1623 weights in `sam3.1_multiplex.pt`, by its name.

    They were listed from the network that `build_sam3_multiplex_video_predictor` of the published code makes.

    >>> list_published_shapes_31()["tracker.model.output_valid_embed"]
    ((16, 256), torch.float32)
    """
    replaced = ("tracker.", f"{_VISION}sam2_convs.", f"{_VISION}convs.3.")
    kept = {name: shape for name, shape in list_published_shapes().items() if not name.startswith(replaced)}
    return kept | _read_names(_NAMES_31.read_text(encoding="utf-8"))


def list_student_shapes() -> dict[str, dict[str, tuple[int, ...]]]:
    """Return, for each vision trunk of EfficientSAM3, the shape of each weight by its name below `trunk.model.`.

    They were listed from the networks that `build_efficientsam3_image_model` of the published code makes, without the
    counters of batch norms.

    >>> sorted(list_student_shapes())
    ['efficientvit_b0', 'efficientvit_b1', 'efficientvit_b2', 'repvit_m0.9', 'repvit_m1.1', 'repvit_m2.3', \
'tinyvit_11m', 'tinyvit_21m', 'tinyvit_5m']
    """
    parts = re.split(r"^\[(\S+)\].*\n", _STUDENT_NAMES.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    return {
        size: {name: shape for name, (shape, _) in _read_names(names).items()}
        for size, names in zip(parts[::2], parts[1::2], strict=True)
    }


def _read_names(text: str) -> dict[str, tuple[tuple[int, ...], torch.dtype]]:
    shapes = {}
    for line in text.splitlines():
        name, sizes, *kind = line.split()
        shape = tuple(int(size) for size in sizes.split("x"))
        for single in _expand_numbers(name):
            shapes[single] = shape, torch.complex64 if kind else torch.float32
    return shapes


def write_native_file(folder: Path, *, seed: int = 0) -> Path:
    """Write `sam3.pt` with random weights, and a table of merges of CLIP's size beside it. 3.4 GB."""
    generator = torch.Generator().manual_seed(seed)
    weights = {
        name: torch.empty(shape, dtype=dtype).normal_(0, _SPREAD, generator=generator)
        for name, (shape, dtype) in list_published_shapes().items()
    }
    torch.save(weights, folder / "sam3.pt")
    pairs = islice(product(bytes_to_unicode().values(), repeat=2), WORDS - 2 * 256 - 2)
    lines = ["#version: 0.2", *(f"{first} {second}" for first, second in pairs)]
    (folder / MERGES_FILE).write_bytes(gzip.compress("\n".join(lines).encode()))
    return folder / "sam3.pt"


def write_converted_folder(native: Path, folder: Path) -> Path:
    """Write the folder in transformers' layout of the same weights, as facebook/sam3 is published. 3.4 GB."""
    weights = convert_weights(NativeFile(native), lambda _: True, lambda _: torch.float32)
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    Sam3VideoConfig(architectures=["Sam3VideoModel"]).save_pretrained(folder)
    read_merges(native.parent / MERGES_FILE, WORDS).save_pretrained(folder)
    Sam3ImageProcessor().save_pretrained(folder)
    return folder


def _expand_numbers(name: str) -> list[str]:
    """Return the names that one with a set of numbers stands for.

    >>> _expand_numbers("blocks.{0-1,5}.norm1")
    ['blocks.0.norm1', 'blocks.1.norm1', 'blocks.5.norm1']
    """
    found = re.search(r"\{([\d,-]+)\}", name)
    if found is None:
        return [name]
    spans = [[int(end) for end in span.split("-")] for span in found[1].split(",")]
    return [name.replace(found[0], str(number)) for span in spans for number in range(span[0], span[-1] + 1)]
