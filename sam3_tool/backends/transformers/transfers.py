"""Numbers between the host's memory and a device's; nobody waits where the device can copy on its own."""

import numpy as np
import torch


def upload_pixels(pixels: np.ndarray, device: torch.device) -> torch.Tensor:
    """A copy on the device, uint8. `pixels`: uint8."""
    if device.type != "cuda":
        return torch.tensor(pixels, device=device)
    pinned = torch.empty(pixels.shape, dtype=torch.uint8, pin_memory=True)
    pinned.numpy()[...] = pixels
    return to_device(pinned, device)


def to_device(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """`tensor` itself where it is there already."""
    return tensor.to(device, non_blocking=True)


def to_host(tensor: torch.Tensor) -> torch.Tensor:
    """In pinned memory if it comes from a GPU, and perhaps still on its way: for the device, which keeps the order of
    its copies, and not for the host to read. `tensor` itself where it is there already."""
    if tensor.device.type != "cuda":
        return tensor.to("cpu")
    pinned = torch.empty_like(tensor, device="cpu", pin_memory=True)
    return pinned.copy_(tensor, non_blocking=True)
