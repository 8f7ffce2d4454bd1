"""The losses: what the network is told about its answers.

Set losses after DETR (Hungarian matching; L1 and generalised IoU on boxes), mask losses after MaskFormer (cross
entropy and dice), classification only where the concept is present, with a presence token that learns the rest
(SAM 3, appendix on training), denoising queries after DN-DETR; dense helpers on patches so that a small model starts.
"""

from collections.abc import Iterator

import torch
from scipy.optimize import linear_sum_assignment
from torch.nn import functional as F
from torchvision.ops import box_convert, generalized_box_iou, generalized_box_iou_loss, roi_align

from sam3_tool.training.batch import ATTRIBUTES, IGNORE_INDEX, ImageBatch, Questions
from sam3_tool.training.networks.architecture import FINE_SIDE, GRID, MASK_SIDE
from sam3_tool.training.networks.detector import SILHOUETTE, Detections, LearningSam3, VisionFeatures

Losses = dict[str, torch.Tensor]
LAYER_WEIGHTS = (0.6, 0.6, 1.0)
"""Auxiliary losses: earlier decoder layers count less."""
PRESENCE_WEIGHTS = (0.3, 0.3, 1.0)


def compute_patch_cover(images: ImageBatch) -> torch.Tensor:
    """Return (B, M, GRID * GRID): share of each patch that each object covers."""
    return F.avg_pool2d(images.masks, MASK_SIDE // GRID).flatten(2)


def compute_dense_losses(network: LearningSam3, features: VisionFeatures, images: ImageBatch) -> Losses:
    """Let every patch name what covers it: from the vision trunk, and again from the neck."""
    share, owner = compute_patch_cover(images).max(dim=1)  # (B, P)
    covered = share > 0.3
    attributes = images.attributes.gather(1, owner[..., None].expand(-1, -1, len(ATTRIBUTES)))[covered]
    predicted = network.patch_head(features.tokens)
    losses = {"object": F.binary_cross_entropy_with_logits(predicted[..., 0], share.clamp(0, 1))}
    sizes = [len(names) for _, names in ATTRIBUTES]
    losses["patch"] = 0.5 * _compute_attribute_loss(predicted[covered][:, 1:-4], attributes, sizes)
    losses["edges"] = 2 * _compute_edge_loss(predicted[covered][:, -4:], images, owner, covered)
    named = network.attribute_head(features.levels[-1].flatten(2).transpose(1, 2)[covered])
    losses["neck"] = 0.5 * _compute_attribute_loss(named, attributes, sizes)
    # nothing behind the neck normalises it, so that its levels must be kept at unit scale
    losses["scale"] = 0.1 * torch.stack([(level.std() + 1e-6).log() ** 2 for level in features.levels]).sum()
    return losses


def _compute_attribute_loss(logits: torch.Tensor, attributes: torch.Tensor, sizes: list[int]) -> torch.Tensor:
    columns = zip(torch.split(logits, sizes, dim=-1), attributes.unbind(-1), strict=True)
    return torch.stack([_compute_known_cross_entropy(logit, value) for logit, value in columns]).sum()


def _compute_known_cross_entropy(logits: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """Return the cross entropy of known values: 0, not NaN, where every value is to be ignored."""
    total = F.cross_entropy(logits, values, ignore_index=IGNORE_INDEX, reduction="sum")
    return total / (values != IGNORE_INDEX).sum().clamp(min=1)


def _compute_edge_loss(
    predicted: torch.Tensor, images: ImageBatch, owner: torch.Tensor, covered: torch.Tensor
) -> torch.Tensor:
    """Compare distances from the patch's centre to its object's edges, in quarters of the image."""
    boxes = box_convert(images.boxes, "cxcywh", "xyxy").gather(1, owner[..., None].expand(-1, -1, 4))
    centre = (torch.arange(GRID) + 0.5) / GRID
    x, y = centre.repeat(GRID), centre.repeat_interleave(GRID)
    here = torch.stack([x, y], dim=-1).expand(len(boxes), -1, -1)
    distances = torch.cat([here - boxes[..., :2], boxes[..., 2:] - here], dim=-1) * 4
    return F.smooth_l1_loss(predicted, distances[covered], beta=0.1)


def compute_silhouette_loss(network: LearningSam3, features: VisionFeatures, images: ImageBatch) -> Losses:
    """Let every patch draw its object's silhouette: outlines teach shapes long before names tell them apart."""
    share, owner = compute_patch_cover(images).max(dim=1)
    covered = share > 0.3
    count, most = images.exist.shape
    corners = box_convert(images.boxes, "cxcywh", "xyxy").reshape(-1, 4) * MASK_SIDE
    rows = torch.arange(count * most)[:, None].float()
    masks = images.masks.reshape(-1, 1, MASK_SIDE, MASK_SIDE)
    outlines = roi_align(masks, torch.cat([rows, corners], dim=1), SILHOUETTE, sampling_ratio=2)
    wanted = outlines.reshape(count, most, -1)[torch.arange(count)[:, None].expand_as(owner)[covered], owner[covered]]
    drawn = network.silhouette_head(features.tokens[covered])
    return {"silhouette": 4 * F.binary_cross_entropy_with_logits(drawn, wanted.clamp(0, 1))}


def compute_alignment_loss(
    network: LearningSam3, features: VisionFeatures, images: ImageBatch, questions: Questions, text: torch.Tensor
) -> Losses:
    """Let the words of a text question light up the patches it means, by dot product with the neck's tokens."""
    plain = (questions.box_labels < 0).all(dim=1)
    image_index, mask = questions.image_index[plain], questions.token_mask[plain].float()
    pooled = (text[plain] * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
    tokens = features.levels[-1].flatten(2)[image_index]
    logits = torch.einsum("nc,ncp->np", pooled, tokens) * 0.3 - 3
    lit = torch.einsum("bmp,bm->bp", compute_patch_cover(images)[image_index], questions.targets[plain].float())
    return {"align": 3 * F.binary_cross_entropy_with_logits(logits, lit.clamp(0, 1))}


def compute_detector_losses(
    network: LearningSam3,
    features: VisionFeatures,
    images: ImageBatch,
    questions: Questions,
    found: Detections,
    *,
    most_masks: int,
) -> Losses:
    present = questions.targets.any(dim=1)
    losses = compute_presence_loss(found, present) | compute_concept_losses(network, images, questions, found)
    losses |= compute_hint_losses(images, questions, found, present)
    matches = match_queries(found, images.boxes[questions.image_index], questions.targets)
    losses |= compute_set_losses(found, images.boxes[questions.image_index], matches, present)
    return losses | compute_mask_losses(network, features, images, questions, found, matches, most_masks)


def compute_presence_loss(found: Detections, present: torch.Tensor, *, counted: torch.Tensor | None = None) -> Losses:
    """Let the presence token say whether the concept is there. `counted`: bool, (N,), questions that teach it."""
    logits = found.presence if counted is None else found.presence[:, counted]
    if logits.shape[1] == 0:
        return {}
    wanted = present.float() if counted is None else present[counted].float()
    layers = [F.binary_cross_entropy_with_logits(logit, wanted) for logit in logits]
    return {"presence": 2 * (torch.stack(layers) * torch.tensor(PRESENCE_WEIGHTS)).sum()}


def compute_concept_losses(
    network: LearningSam3, images: ImageBatch, questions: Questions, found: Detections
) -> Losses:
    """Let image tokens that have read the prompt say whether they are the concept, and the box of what they are on."""
    cover = compute_patch_cover(images)[questions.image_index]
    concept = torch.einsum("nmp,nm->np", cover, questions.targets.float()).clamp(0, 1)
    predicted = network.concept_head(found.encoded)
    share, owner = cover.max(dim=1)
    on = share > 0.3
    boxes = images.boxes[questions.image_index].gather(1, owner[..., None].expand(-1, -1, 4))[on]
    guess = predicted[..., 1:][on].sigmoid()
    return {
        "concept": 3 * F.binary_cross_entropy_with_logits(predicted[..., 0], concept),
        "token boxes": 2.5 * (guess - boxes).abs().sum(-1).mean() + _compute_giou_loss(guess, boxes).mean(),
    }


def _compute_giou_loss(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Return 1 - generalised IoU of boxes cx cy w h, elementwise."""
    corners = (box_convert(boxes, "cxcywh", "xyxy") for boxes in (a, b))
    return torch.as_tensor(generalized_box_iou_loss(*corners))


def compute_hint_losses(images: ImageBatch, questions: Questions, found: Detections, present: torch.Tensor) -> Losses:
    """Let queries that start from a noisy box of each object restore it and say whether the object is meant."""
    exist = images.exist[questions.image_index]
    boxes = images.boxes[questions.image_index]
    weights = torch.tensor(LAYER_WEIGHTS)
    meant = questions.targets.float().expand_as(found.hint_logits)
    wrong = F.binary_cross_entropy_with_logits(found.hint_logits, meant, reduction="none")
    counted = exist & present[:, None]
    boxes = boxes.expand_as(found.hint_boxes)
    away = 5 * (found.hint_boxes - boxes).abs().sum(-1) + 2 * _compute_giou_loss(found.hint_boxes, boxes)
    return {
        "hint class": 2 * ((wrong * counted).sum((1, 2)) * weights).sum() / counted.sum().clamp(min=1),
        "hint boxes": ((away * exist).sum((1, 2)) * weights).sum() / exist.sum().clamp(min=1),
    }


@torch.no_grad()
def match_queries(found: Detections, boxes: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Return int64, (4, K): layer, question, query, object of every matched pair (the cheapest one-to-one assignment).

    Cost = 5 L1 - 2 GIoU - 2 probability, as in DETR's family.
    """
    rows = [
        (layer, question, query, thing)
        for layer in range(len(found.boxes))
        for question in targets.any(dim=1).nonzero()[:, 0].tolist()
        for query, thing in _assign_queries(
            found.boxes[layer, question], found.logits[layer, question], boxes[question], targets[question]
        )
    ]
    return torch.tensor(rows, dtype=torch.int64).reshape(-1, 4).T


def _assign_queries(
    guessed: torch.Tensor, logits: torch.Tensor, boxes: torch.Tensor, meant: torch.Tensor
) -> Iterator[tuple[int, int]]:
    things = meant.nonzero()[:, 0]
    wanted = boxes[things]
    distance = torch.cdist(guessed, wanted, p=1)
    overlap = generalized_box_iou(*(box_convert(b, "cxcywh", "xyxy") for b in (guessed, wanted)))
    cost = 5 * distance - 2 * overlap - 2 * logits.sigmoid()[:, None]
    queries, columns = linear_sum_assignment(cost.numpy())
    return zip(queries.tolist(), things[columns].tolist(), strict=True)


def compute_set_losses(
    found: Detections,
    boxes: torch.Tensor,
    matches: torch.Tensor,
    present: torch.Tensor,
    *,
    exhaustive: torch.Tensor | None = None,
) -> Losses:
    """Let matched queries of present concepts say yes and fit the box, and the others say no.

    `exhaustive`: bool, (N,), questions whose targets are all there are; of the rest only matched queries are taught.
    """
    layer, question, query, thing = matches
    weights = torch.tensor(LAYER_WEIGHTS)
    count = max(1, int((layer == 0).sum()))
    yes = torch.zeros_like(found.logits)
    yes[layer, question, query] = 1
    wrong = F.binary_cross_entropy_with_logits(found.logits, yes, reduction="none")
    sure = found.logits.detach().sigmoid()
    # a query that is surely wrong weighs more: the focal loss of DETR's family, with a power of 2
    wrong = wrong * torch.where(yes > 0, 1.0, 2 * sure**2) * present[None, :, None]
    if exhaustive is not None:
        wrong = wrong * ((yes > 0) | exhaustive[None, :, None])
    guess, wanted = found.boxes[layer, question, query], boxes[question, thing]
    return {
        "class": 2 * (wrong.sum((1, 2)) * weights).sum() / count,
        "box": 5 * ((guess - wanted).abs().sum(-1) * weights[layer]).sum() / count,
        "giou": 2 * (_compute_giou_loss(guess, wanted) * weights[layer]).sum() / count,
    }


def compute_mask_losses(
    network: LearningSam3,
    features: VisionFeatures,
    images: ImageBatch,
    questions: Questions,
    found: Detections,
    matches: torch.Tensor,
    most: int,
) -> Losses:
    """Compare masks of the last layer's matched queries, upsampled as they will be, for up to `most` questions.

    The questions are about the images whose fine levels were computed: pixels are the dear part.
    """
    last = matches[:, matches[0] == len(found.boxes) - 1]
    rows = torch.unique(last[1])
    rows = rows[questions.image_index[rows] < len(features.levels[0])]
    # masks are the costliest part of a step: a few questions by chance are enough
    rows = rows[torch.randperm(len(rows))[:most]]
    if len(rows) == 0:
        return {}
    pairs = [last[2:, last[1] == row] for row in rows]
    widest = max(pair.shape[1] for pair in pairs)
    padded = torch.stack([F.pad(pair, (0, widest - pair.shape[1])) for pair in pairs])  # (R, 2, K)
    real = torch.stack([torch.arange(widest) < pair.shape[1] for pair in pairs])
    image_index = questions.image_index[rows]
    drawn, semantic = network.draw_masks(features, image_index, found, rows, padded[:, 0])
    drawn = F.interpolate(drawn, size=(FINE_SIDE, FINE_SIDE), mode="bilinear", align_corners=False)
    truth = images.fine_masks[image_index[:, None], padded[:, 1]][real]
    boxes = images.boxes[image_index[:, None], padded[:, 1]][real]
    meant = torch.einsum("rmhw,rm->rhw", images.masks[image_index], questions.targets[rows].float()).clamp(0, 1)
    return {
        "mask": 6 * _compute_mask_cross_entropy(drawn[real], truth, boxes),
        "dice": 5 * _compute_dice_loss(drawn[real], truth),
        "semantic": F.binary_cross_entropy_with_logits(semantic[:, 0], meant)
        + 0.5 * _compute_dice_loss(semantic[:, 0], meant),
    }


def _compute_mask_cross_entropy(logits: torch.Tensor, truth: torch.Tensor, boxes: torch.Tensor) -> torch.Tensor:
    """Return the mean over masks. Pixels in and near the object's box weigh seven times those far away."""
    # 0.06 of the image around the box still counts as near
    centre = (torch.arange(FINE_SIDE) + 0.5) / FINE_SIDE
    x0, y0, x1, y1 = box_convert(boxes, "cxcywh", "xyxy").unbind(-1)
    column = (centre > x0[:, None] - 0.06) & (centre < x1[:, None] + 0.06)
    row = (centre > y0[:, None] - 0.06) & (centre < y1[:, None] + 0.06)
    weight = 0.15 + 0.85 * (row[:, :, None] & column[:, None, :])
    wrong = F.binary_cross_entropy_with_logits(logits, truth, reduction="none")
    return torch.mean((wrong * weight).sum((1, 2)) / weight.sum((1, 2)))


def _compute_dice_loss(logits: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    likely = logits.sigmoid()
    both = (likely * truth).sum((1, 2))
    return torch.mean(1 - (2 * both + 1) / (likely.sum((1, 2)) + truth.sum((1, 2)) + 1))
