"""The baselines: the published agent's way, and transformers as its documentation shows it.

Both are written out plainly, for measuring beside `Sam3`. The published way (`facebookresearch/sam3` at 99d02f28,
`sam3/agent/client_sam3.py` and `helpers/mask_overlap_removal.py`): the image is encoded again for every phrase,
phrases are asked one at a time, masks are compared pair by pair as dense arrays, and matplotlib draws them.
"""

import io
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import PIL.Image
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Polygon
from torch.nn import functional

from bench.harness.networks import Network
from sam3_tool import Image
from sam3_tool.backends.transformers.text import PAD_LABEL

MasksAndScores = tuple[np.ndarray, np.ndarray]
"""The result of one phrase: masks, bool (N, H, W), and scores, (N,)."""


@torch.inference_mode()
def segment_as_published(
    network: Network, image: Image, phrases: Sequence[str], threshold: float
) -> list[MasksAndScores]:
    """Compute everything anew for each phrase, with the geometry encoder's CLS token.

    As published, masks become probabilities before they are cut at 0.5.
    """
    nowhere = {"input_boxes": [[[0.0, 0.0, 1.0, 1.0]]], "input_boxes_labels": [[PAD_LABEL]]}
    found = []
    for phrase in phrases:
        output = _run_network(network, image, _encode_image(network, image), phrase, nowhere)
        scores = (output.pred_logits.sigmoid() * output.presence_logits.sigmoid())[0].float()
        logits = output.pred_masks[:, scores > threshold].float()
        upsampled = functional.interpolate(logits, size=(image.height, image.width), mode="bilinear")
        found.append(((upsampled[0].sigmoid() > 0.5).cpu().numpy(), scores[scores > threshold].cpu().numpy()))
    return found


@torch.inference_mode()
def segment_as_documented(
    network: Network, image: Image, phrases: Sequence[str], threshold: float
) -> list[MasksAndScores]:
    """Compute vision features once, then ask one phrase after the other, with the processor's post-processing."""
    features = _encode_image(network, image)
    found = []
    for phrase in phrases:
        [result] = network.processor.post_process_instance_segmentation(
            _run_network(network, image, features, phrase, {}),
            threshold=threshold,
            mask_threshold=0.5,
            target_sizes=[(image.height, image.width)],
        )
        found.append((result["masks"].cpu().numpy().astype(bool), result["scores"].float().cpu().numpy()))
    return found


def _encode_image(network: Network, image: Image) -> Any:
    pixels = network.processor(images=PIL.Image.fromarray(image.pixels), return_tensors="pt").pixel_values
    return network.model.get_vision_features(pixels.to(network.device, network.model.dtype))


def _run_network(network: Network, image: Image, features: Any, phrase: str, boxes: dict[str, Any]) -> Any:
    size = [(image.height, image.width)]
    words = network.processor(text=phrase, original_sizes=size, return_tensors="pt", **boxes)
    words.pop("original_sizes", None)
    words = words.to(network.device)
    if boxes:
        words["input_boxes"] = words["input_boxes"].to(network.model.dtype)
    # the model empties the features that it is given, so it gets a copy
    return network.model(vision_embeds=type(features)(**features), **words)


def find_non_overlapping(masks: np.ndarray, scores: np.ndarray, threshold: float = 0.3) -> list[int]:
    """Return the indices of the masks that stay, by intersection over the smaller area, as dense arrays.

    As published, each mask is compared with a new stack of all better ones, and all areas are counted again.
    """
    dense, stay = torch.from_numpy(masks), list[int]()
    for index in np.argsort(-scores, kind="stable"):
        better = torch.stack([dense[other] for other in stay]) if stay else dense[:0]
        shared = (dense[index] & better).flatten(1).sum(dim=1)
        smaller = torch.minimum(dense[index].sum(), better.flatten(1).sum(dim=1)).clamp(min=1)
        if not (shared / smaller > threshold).any():
            stay.append(int(index))
    return sorted(stay)


def draw_masks(image: Image, masks: np.ndarray) -> bytes:
    """Return a PNG with every mask filled, outlined and numbered in its middle, drawn by matplotlib."""
    figure = Figure(figsize=(image.width / 100, image.height / 100), dpi=100)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.axis("off")
    axes.imshow(image.pixels)
    for number, mask in enumerate(masks, start=1):
        outlines, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
        for outline in outlines:
            axes.add_patch(Polygon(outline[:, 0], facecolor=(1, 0, 0, 0.4), edgecolor="white"))
        rows, columns = np.nonzero(mask)
        if len(rows):
            axes.text(float(np.median(columns)), float(np.median(rows)), str(number), color="white", ha="center")
    file = io.BytesIO()
    FigureCanvasAgg(figure)
    figure.savefig(file, format="png")
    return file.getvalue()
