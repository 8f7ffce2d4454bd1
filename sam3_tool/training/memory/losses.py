"""What the memory learns from: masks, predicted quality and presence of objects that are followed."""

import torch
from torch.nn import functional as F

from sam3_tool.training.memory.network import Answer
from sam3_tool.training.networks.architecture import FINE_SIDE, MASK_SIDE
from sam3_tool.training.networks.tracker import (
    Losses,
    compute_cross_entropy,
    compute_dice_loss,
    compute_iou,
    upsample_logits,
)


def compute_memory_losses(answer: Answer, truth: torch.Tensor) -> Losses:
    """Let the candidate that tracking goes on with learn the mask, and the presence say where there is none.

    A click may mean a part or the whole, so the best candidate learns there; an object that is followed has one mask,
    so here the candidate learns that is used. "iou" is no loss.

    `truth`: float32, (R, FINE_SIDE, FINE_SIDE), 0 where the object is hidden.
    """
    there = truth.flatten(1).amax(dim=1) > 0.5
    losses = {"presence": F.binary_cross_entropy_with_logits(answer.presence, there.float())}
    fine = upsample_logits(answer.best_logits[:, None])
    overlap = measure_overlap(fine[:, 0].detach(), answer.presence.detach(), truth)
    if not there.any():
        nothing = 0.0 * answer.logits.sum()
        return losses | {"mask": nothing, "dice": nothing, "others": nothing, "quality": nothing, "iou": overlap.mean()}
    logits, fine, truth = answer.logits[there], fine[there], truth[there][:, None]
    rough = F.avg_pool2d(truth, FINE_SIDE // MASK_SIDE).expand_as(logits)
    with torch.no_grad():
        ious = compute_iou(upsample_logits(logits) > 0, truth > 0.5)
    return losses | {
        "mask": 6 * compute_cross_entropy(fine, truth).mean(),
        "dice": 5 * compute_dice_loss(fine, truth).mean(),
        "others": 0.3 * F.binary_cross_entropy_with_logits(logits, rough) + compute_dice_loss(logits, rough).mean(),
        "quality": 2 * (answer.quality[there] - ious).abs().mean(),
        "iou": overlap.mean(),
    }


def measure_overlap(logits: torch.Tensor, presence: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Return float32, (R,): IoU of what is answered, 1 where the answer and the truth are that there is nothing.

    `logits`, `truth`: (R, FINE_SIDE, FINE_SIDE); `presence`: (R,), logits.
    """
    found, wanted = (logits > 0) & (presence > 0)[:, None, None], truth > 0.5
    union = (found | wanted).flatten(1).sum(dim=1)
    both = (found & wanted).flatten(1).sum(dim=1)
    return torch.where(union > 0, both / union.clamp(min=1), 1.0)
