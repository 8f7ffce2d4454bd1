"""Muon for the matrices of the hidden layers, AdamW for everything else."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import torch
import torch.distributed as dist
from torch import nn

VISION = "sam3.vision_encoder"


class Muon(torch.optim.Optimizer):
    """Momentum whose update is made orthogonal by five Newton-Schulz steps (Jordan et al., 2024).

    `torch.optim.Muon` does the same one matrix at a time in bfloat16, which a CPU without bfloat16 units runs eight
    times slower than float32; here equal shapes are stacked and multiplied as one batch, in bfloat16 only if `half`.
    """

    COEFFICIENTS = (3.4445, -4.7750, 2.0315)
    """Coefficients of the quintic iteration (Jordan et al.): steepest at zero, need not converge to exactly one."""

    def __init__(
        self,
        params: Iterable[nn.Parameter],
        lr: float,
        *,
        momentum: float = 0.95,
        weight_decay: float = 0.02,
        half: bool = False,
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})
        self.half = half

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Make a step. A convolution's filters are the rows of a matrix."""
        shapes: dict[torch.Size, list[tuple[nn.Parameter, dict[str, Any]]]] = defaultdict(list)
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    shapes[parameter.shape].append((parameter, group))
        stacks = [
            torch.stack([self._update_momentum(p, group["momentum"]).flatten(1) for p, group in same])
            for same in shapes.values()
        ]
        for same, updates in zip(shapes.values(), self._orthogonalize_shared(stacks), strict=True):
            for (parameter, group), update in zip(same, updates, strict=True):
                # root mean square 0.2, so that AdamW's learning rates and weight decay carry over (Moonlight, 2025)
                scale = group["lr"] * 0.2 * max(update.shape) ** 0.5
                decay = group["lr"] * group["weight_decay"]
                parameter.mul_(1 - decay).sub_(update.view_as(parameter), alpha=scale)

    def _orthogonalize_shared(self, stacks: list[torch.Tensor]) -> list[torch.Tensor]:
        """Make every stack orthogonal. Workers, whose gradients are the same, each do their share of the matrices."""
        if not dist.is_initialized():
            return [self._orthogonalize_matrices(stack) for stack in stacks]
        done = [torch.zeros_like(stack) for stack in stacks]
        for stack, part in zip(stacks, done, strict=True):
            mine = slice(dist.get_rank(), None, dist.get_world_size())
            part[mine] = self._orthogonalize_matrices(stack[mine])
        flat = torch.cat([part.reshape(-1) for part in done])
        dist.all_reduce(flat)
        parts = torch.split(flat, [stack.numel() for stack in stacks])
        return [part.view_as(stack) for part, stack in zip(parts, stacks, strict=True)]

    def _update_momentum(self, parameter: nn.Parameter, momentum: float) -> torch.Tensor:
        """Return the gradient plus the running sum that already holds it (Nesterov)."""
        assert parameter.grad is not None
        buffer: torch.Tensor = self.state[parameter].setdefault("momentum", torch.zeros_like(parameter))
        buffer.mul_(momentum).add_(parameter.grad)
        return parameter.grad + momentum * buffer

    def _orthogonalize_matrices(self, matrices: torch.Tensor) -> torch.Tensor:
        """Return (N, rows, columns), each with all singular values near 1."""
        tall = matrices.shape[1] > matrices.shape[2]
        x: torch.Tensor = matrices.mT if tall else matrices
        # the iteration converges for singular values up to 1, which the Frobenius norm ensures
        x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
        x = x.bfloat16() if self.half else x
        a, b, c = self.COEFFICIENTS
        for _ in range(5):
            gram = x @ x.mT
            x = a * x + (b * gram + c * gram @ gram) @ x
        return torch.as_tensor(x.mT if tall else x).float()


class Optimizer:
    """Both optimizers behind one step, with the vision encoder on a leash once the detector learns."""

    def __init__(
        self, network: nn.Module, *, vision_share: float, muon_lr: float, adamw_lr: float, half: bool = False
    ) -> None:
        groups: dict[tuple[str, bool], list[nn.Parameter]] = defaultdict(list)
        for name, parameter in network.named_parameters():
            if parameter.requires_grad:
                groups[_classify_parameter(name, parameter), name.startswith(VISION)].append(parameter)
        matrices = [
            {"params": params, "lr": muon_lr * (vision_share if vision else 1)}
            for (kind, vision), params in groups.items()
            if kind == "matrix"
        ]
        rest = [
            # what Muon does not touch in the vision encoder is mostly the neck, whose scale must not drift
            {"params": params, "lr": adamw_lr * (0.2 * vision_share if vision and vision_share < 1 else 1)}
            | ({"weight_decay": 0.0} if kind == "plain" else {})
            for (kind, vision), params in groups.items()
            if kind != "matrix"
        ]
        self.parts: list[torch.optim.Optimizer] = [
            Muon(matrices, muon_lr, half=half),  # type: ignore[arg-type]
            torch.optim.AdamW(rest, lr=adamw_lr, betas=(0.9, 0.98), weight_decay=0.02),
        ]
        self.base_rates = [[group["lr"] for group in part.param_groups] for part in self.parts]

    def step(self, share: float) -> None:
        """Make one step at `share` of the full learning rate."""
        for part, rates in zip(self.parts, self.base_rates, strict=True):
            for group, rate in zip(part.param_groups, rates, strict=True):
                group["lr"] = rate * share
            part.step()

    def state_dict(self) -> list[dict[str, object]]:
        return [part.state_dict() for part in self.parts]

    def load_state_dict(self, states: list[dict[str, object]]) -> None:
        for part, state in zip(self.parts, states, strict=True):
            part.load_state_dict(state)


def _classify_parameter(name: str, parameter: nn.Parameter) -> str:
    if parameter.ndim == 2 and min(parameter.shape) >= 16 and "embed" not in name and "reference" not in name:
        return "matrix"
    return "plain" if parameter.ndim < 2 or "embed" in name or "reference" in name else "filter"
