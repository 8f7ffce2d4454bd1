"""Train the embedded checkpoint's mask refiner: `python -m sam3_tool.training.refinement.train --out runs/refiner`.

SAM 3 itself stays as it is, bit for bit. `tracks` writes what is learnt from.
"""

import argparse
import logging
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import nn
from torch.nn import functional

from sam3_tool.backends.transformers.files.checkpoint import locate_checkpoint
from sam3_tool.backends.transformers.files.mask_refiner import read_refiner
from sam3_tool.training.export import export_refiner
from sam3_tool.training.optimization.averaging import update_average
from sam3_tool.training.optimization.optimizer import Muon
from sam3_tool.training.optimization.state import load_state, save_state
from sam3_tool.training.optimization.steps import make_steps
from sam3_tool.training.refinement.network import LearningRefiner
from sam3_tool.training.refinement.samples import ClipTracks, draw_windows, read_folder


@dataclass(frozen=True)
class Recipe:
    """Every number of a run."""

    out: Path
    tracks: Path
    """What `refinement.tracks` wrote."""
    start: str = "tiny"
    """The checkpoint whose refiner is gone on with: 'tiny' or a folder."""
    fresh: bool = False
    """Whether the refiner begins from nothing."""
    seed: int = 0
    steps: int = 5000
    batch: int = 32
    """Masks of a step."""
    warmup_steps: int = 50
    lr: tuple[float, float] = (1e-2, 5e-3)
    """Muon for the convolutions, AdamW for the rest."""
    peak: float = 1.0
    """Share of `lr` after the warm-up, from where it falls along half a cosine."""
    averaging: float = 0.99
    """Decay of the running average of the weights, which is what is shipped."""
    bfloat16: bool = False
    """For CPUs with units for it."""
    save_every: int = 200
    log_every: int = 20

    def compute_lr_share(self, step: int) -> float:
        """Return the share of the full learning rate at this step."""
        falling = 0.5 + 0.5 * float(np.cos(np.pi * step / self.steps))
        return self.peak * min(1.0, (step + 1) / self.warmup_steps) * falling


class RefinerRun:
    """The network, its running average, both optimizers, the step."""

    def __init__(self, recipe: Recipe, clips: list[ClipTracks]) -> None:
        torch.manual_seed(recipe.seed)
        self.recipe, self.clips, self.step = recipe, clips, 0
        self.network = LearningRefiner()
        if not recipe.fresh:
            shipped = read_refiner(locate_checkpoint(recipe.start), torch.device("cpu"))
            windows, _ = draw_windows(clips, 8 * recipe.batch, np.random.default_rng(recipe.seed), shipped)
            self.network.take_over(shipped, windows)
        self.network.to(memory_format=torch.channels_last).train()  # type: ignore[call-overload]
        self.average = {name: value.clone() for name, value in self.network.state_dict().items()}
        filters = [value for value in self.network.parameters() if value.ndim == 4]
        rest = [value for value in self.network.parameters() if value.ndim < 4]
        self.optimizers = (Muon(filters, recipe.lr[0], half=recipe.bfloat16), torch.optim.AdamW(rest, recipe.lr[1]))

    def advance(self) -> dict[str, float]:
        """Make one step, and return its losses."""
        recipe, rng = self.recipe, np.random.default_rng((self.recipe.seed, self.step))
        read, truth = draw_windows(self.clips, recipe.batch, rng, self.network.eval())
        self.network.train()
        with torch.autocast("cpu", torch.bfloat16, enabled=recipe.bfloat16):
            logits = self.network(read.contiguous(memory_format=torch.channels_last))
        losses = compute_refinement_losses(logits.float(), truth)
        self.network.zero_grad(set_to_none=True)
        torch.stack(list(losses.values())).sum().backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        for optimizer, rate in zip(self.optimizers, recipe.lr, strict=True):
            for group in optimizer.param_groups:
                group["lr"] = rate * recipe.compute_lr_share(self.step)
            optimizer.step()
        decay = min(recipe.averaging, self.step / (10 + self.step))
        update_average(self.average, self.network.state_dict(), decay)
        self.step += 1
        return {name: float(value.detach()) for name, value in losses.items()}

    def save(self) -> None:
        optimizers = [optimizer.state_dict() for optimizer in self.optimizers]
        network = self.network.state_dict()
        save_state(self.recipe.out, step=self.step, network=network, average=self.average, optimizers=optimizers)

    def resume(self) -> None:
        state = load_state(self.recipe.out)
        if state is None:
            return
        self.step, self.average = state["step"], state["average"]
        self.network.load_state_dict(state["network"])
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)

    def export(self) -> None:
        shipped = LearningRefiner()
        shipped.load_state_dict(self.average)
        export_refiner(shipped.fold_norms(), locate_checkpoint(self.recipe.start), self.recipe.out / "checkpoint")


def compute_refinement_losses(logits: torch.Tensor, truth: torch.Tensor) -> dict[str, torch.Tensor]:
    """Return losses of masks. `logits`, and `truth` in [0, 1]: (N, side, side)."""
    likely = logits.sigmoid()
    both, all_pixels = (likely * truth).sum(dim=(1, 2)), likely.sum(dim=(1, 2)) + truth.sum(dim=(1, 2))
    return {
        "mask": 3 * functional.binary_cross_entropy_with_logits(logits, truth),
        "dice": (1 - (2 * both + 1) / (all_pixels + 1)).mean(),
    }


def train_refiner(recipe: Recipe) -> None:
    recipe.out.mkdir(parents=True, exist_ok=True)
    run = RefinerRun(recipe, read_folder(recipe.tracks))
    run.resume()
    make_steps(run, recipe)
    run.export()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder for state, log and checkpoint")
    parser.add_argument("--tracks", type=Path, required=True, help="folder that `refinement.tracks` wrote")
    parser.add_argument("--start", default=Recipe.start, help="checkpoint to go on from (default: tiny)")
    parser.add_argument("--fresh", action="store_true", help="begin from nothing, not from the checkpoint's refiner")
    parser.add_argument("--bfloat16", action="store_true", help="for CPUs with units for it")
    for name in ("seed", "steps"):
        parser.add_argument(f"--{name}", type=int, default=getattr(Recipe, name))
    parser.add_argument("--peak", type=float, default=Recipe.peak, help="share of the recipe's learning rate")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    cv2.setNumThreads(1)
    train_refiner(Recipe(**vars(parser.parse_args())))


if __name__ == "__main__":
    main()
