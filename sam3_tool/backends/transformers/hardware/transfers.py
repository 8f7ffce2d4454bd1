"""Numbers between the host's memory and a device's; nobody waits where the device can copy on its own.

Only a GPU of NVIDIA's or AMD's copies from pinned memory: others share the host's, or are given plain copies.
"""

import numpy as np
import torch


def upload_pixels(pixels: np.ndarray, device: torch.device) -> torch.Tensor:
    """Copy pixels, uint8, to the device."""
    if device.type != "cuda":
        return torch.tensor(pixels, device=device)
    pinned = torch.empty(pixels.shape, dtype=torch.uint8, pin_memory=True)
    pinned.numpy()[...] = pixels
    return to_device(pinned, device)


def to_device(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Copy to the device. A tensor that is there already is returned itself."""
    # other devices than CUDA's may read the host's memory later than it is let go
    return tensor.to(device, non_blocking=device.type == "cuda")


def to_host(tensor: torch.Tensor) -> torch.Tensor:
    """Copy to the host's memory, pinned if the tensor comes from a GPU.

    The copy may still be on its way: it is for the device, which keeps the order of its copies, and not for the host to
    read. A tensor that is there already is returned itself.
    """
    if tensor.device.type != "cuda":
        return tensor.to("cpu")
    pinned = torch.empty_like(tensor, device="cpu", pin_memory=True)
    return pinned.copy_(tensor, non_blocking=True)
