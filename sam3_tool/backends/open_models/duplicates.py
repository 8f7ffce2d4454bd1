"""Duplicates of one object: masks of one phrase that are nearly the same."""

import torch

MAX_MASK_IOU = 0.7
"""Of two masks of one phrase that overlap by more, the one with the lower score is dropped. SAM's everything mode has
the same number for boxes."""


def find_distinct_masks(logits: torch.Tensor, *, most: float = MAX_MASK_IOU) -> list[int]:
    """Find which masks stay. A mask without a cell above 0 does not.

    Args:
        logits: (N, h, w), on any device, best score first.
        most: In [0, 1]: the IoU that two masks may have. It is that of the small masks, before they are enlarged.

    Returns:
        The rows that stay, ascending.

    >>> masks = torch.tensor([[[1.0, 1.0, -1.0]], [[2.0, 1.0, -1.0]], [[-1.0, 1.0, 1.0]], [[-1.0, -1.0, -1.0]]])
    >>> find_distinct_masks(masks)
    [0, 2]
    """
    cells = (logits > 0).flatten(1).float()
    together, areas = cells @ cells.T, cells.sum(dim=1)
    overlaps = (together / (areas[:, None] + areas - together).clamp(min=1)).cpu().numpy()
    kept: list[int] = []
    for row, area in enumerate(areas.tolist()):
        if area > 0 and not (overlaps[row, kept] > most).any():
            kept.append(row)
    return kept
