"""The running average of a network's weights, which is what a training ships."""

from collections.abc import Mapping

import torch


@torch.no_grad()
def update_average(average: Mapping[str, torch.Tensor], weights: Mapping[str, torch.Tensor], decay: float) -> None:
    """Move an average towards the weights, in place.

    Args:
        average: By name; of the same shapes as `weights`.
        weights: Those of this step. What is no floating-point number, such as a counter, is copied.
        decay: In [0, 1]: the share of the average that stays.

    >>> average = {"scale": torch.zeros(1), "count": torch.tensor(3)}
    >>> update_average(average, {"scale": torch.ones(1), "count": torch.tensor(4)}, 0.75)
    >>> average["scale"].item(), average["count"].item()
    (0.25, 4)
    """
    for name, value in weights.items():
        if value.dtype.is_floating_point:
            average[name].lerp_(value, 1 - decay)
        else:
            average[name].copy_(value)
