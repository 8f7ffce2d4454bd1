"""One EfficientSAM3 of its published size with random weights: how near this package is to the published code.

`python -m tests.support.compare_efficientsam3 CHECKOUT FAMILY SIZE TEXT`, for example `CHECKOUT tinyvit 11m
MobileCLIP-S1`. CHECKOUT is one of EfficientSAM3's repository; its code needs iopath and einops. TEXT `sam3` is SAM 3's
own text encoder.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sam3_tool import Image, Sam3

PHRASES = ("red circle", "a big dog beside the tree")
BOX = (168.0, 96.0, 312.0, 224.0)
CLICK = (200.0, 150.0)
_MERGES = "bpe_simple_vocab_16e6.txt.gz"


def build_published(checkout: Path, family: str, size: str, text: str) -> Any:
    """Return the published model with weights that are random, also where the code would begin with zeros."""
    from sam3.model_builder import build_efficientsam3_image_model

    torch.manual_seed(11)
    options = {} if text == "sam3" else {"text_encoder_type": text, "text_encoder_context_length": 16}
    model = build_efficientsam3_image_model(
        bpe_path=str(checkout / "sam3" / "assets" / _MERGES),
        device="cpu",
        backbone_type=family,
        model_name=size,
        enable_inst_interactivity=True,
        **options,
    )
    generator = torch.Generator().manual_seed(5)
    for name, weight in model.state_dict().items():
        if weight.is_floating_point():
            _draw_weight(name, weight, generator)
    model.transformer.decoder.presence_token_head.layers[2].bias.data.fill_(2.0)
    model.transformer.decoder.bbox_embed.layers[2].weight.data.normal_(0, 0.05, generator=generator)
    return model.eval()


def _draw_weight(name: str, weight: torch.Tensor, generator: torch.Generator) -> None:
    if "language_backbone" in name and name.endswith(("positional_embedding", "text_projection")):
        weight.normal_(0, 0.02, generator=generator)  # which the code leaves as memory is
    elif name.endswith("running_var"):
        weight.uniform_(0.5, 1.5, generator=generator)
    elif name.endswith("running_mean"):
        weight.normal_(0, 0.2, generator=generator)
    elif name.endswith("attention_biases"):
        weight.normal_(0, 0.5, generator=generator)
    elif name.endswith("layer_scale"):
        weight.uniform_(0.3, 1, generator=generator)
    elif weight.dim() == 1:
        weight.add_(torch.randn(weight.shape, generator=generator) * 0.05)


def save_published(model: Any, checkout: Path, folder: Path) -> Path:
    """Write the model's weights by the names of a merged checkpoint, and CLIP's table of merges beside it."""
    inner = "inst_interactive_predictor.model."
    weights = {
        f"tracker.{name.removeprefix(inner)}" if name.startswith(inner) else f"detector.{name}": value
        for name, value in model.state_dict().items()
    }
    torch.save({"model": weights}, folder / "efficientsam3.pt")
    shutil.copy(checkout / "sam3" / "assets" / _MERGES, folder)
    return folder / "efficientsam3.pt"


def compare_answers(model: Any, ours: Sam3) -> None:
    """Print how far both are from each other."""
    from sam3.model.sam3_image_processor import Sam3Processor

    coarse = np.random.default_rng(4).integers(0, 256, (40, 60, 3)).astype(np.uint8)
    image = Image(np.kron(coarse, np.ones((8, 8, 1), np.uint8)))
    processor = Sam3Processor(model, device="cpu", confidence_threshold=0.0)
    with torch.inference_mode():
        state = processor.set_image(image.to_pil())
        for phrase in PHRASES:
            processor.reset_all_prompts(state)
            state = processor.set_text_prompt(phrase, state)
            print_distances(repr(phrase), ours.segment(image, phrase, threshold=0.0), state)
        processor.reset_all_prompts(state)
        x0, y0, x1, y1 = np.array(BOX) / np.array([image.width, image.height] * 2)
        state = processor.add_geometric_prompt([(x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0], True, state)
        print_distances("a box", ours.segment(image, boxes=[BOX], threshold=0.0), state)
        masks, scores, _ = model.predict_inst(
            state, point_coords=np.array([CLICK]), point_labels=np.array([1]), multimask_output=True
        )
    order = np.argsort(-scores, kind="stable")
    clicked = ours.refine(image, points=[CLICK], fill_holes=True)
    wrong = (clicked.masks != masks[order].astype(bool)).mean()
    print(f"a click: scores {np.abs(clicked.scores - scores[order]).max():.1e}, masks {wrong:.1e} of the pixels")


def compare_features(model: Any, ours: Sam3) -> None:
    """Print how far the vision encoders' features of a random image are from each other, in their own spread."""
    pixels = torch.rand(1, 3, 1008, 1008, generator=torch.Generator().manual_seed(1)) * 2 - 1
    with torch.inference_mode():
        published = model.backbone.vision_backbone.trunk(pixels)[0].flatten(2).transpose(1, 2)
        found = ours._backend._model.vision_encoder.backbone(pixels).last_hidden_state
    print(f"features: {float((found - published).abs().max() / published.std()):.1e} of their spread")


def print_distances(what: str, found: Any, state: Any) -> None:
    """Print the greatest distances of scores and boxes, and the share of pixels that differ; boxes say what is what."""
    boxes, scores = state["boxes"].numpy(), state["scores"].numpy()
    apart = np.abs(np.asarray(found.boxes)[:, None] - boxes[None]).max(axis=-1)
    same = apart.argmin(axis=1)
    assert len(set(same.tolist())) == len(scores) == len(found), "boxes do not tell the queries apart"
    wrong = (found.masks != state["masks"][:, 0].numpy()[same]).mean()
    print(
        f"{what}: scores {np.abs(found.scores - scores[same]).max():.1e}, boxes {apart.min(axis=1).max():.1e} pixels, "
        f"masks {wrong:.1e} of the pixels"
    )


def main() -> None:
    checkout, family, size, text = Path(sys.argv[1]), *sys.argv[2:5]
    sys.path.insert(0, str(checkout / "sam3"))
    warnings.simplefilter("ignore")
    model = build_published(checkout, family, size, text)
    with tempfile.TemporaryDirectory() as folder:
        ours = Sam3.load(save_published(model, checkout, Path(folder)), device="cpu", dtype="float32")
        compare_features(model, ours)
        compare_answers(model, ours)


if __name__ == "__main__":
    main()
