"""Train the embedded checkpoint from scratch: `python -m sam3_tool.training.train --out runs/tiny`.

Stage 1, the *trunk*: vision encoder and words learn to name patches. Stage 2, the *detector*: everything learns, the
vision encoder slowly. In each stage the learning rate warms up, stays, and cools down over its last steps. Every batch
is a function of (seed, step, worker), and all state is saved as it goes: the same command run again resumes.
"""

import argparse
import logging
import os
import time
from dataclasses import dataclass
from pathlib import Path

import cv2
import torch
import torch.distributed as dist
from torch import nn
from torch.multiprocessing.spawn import spawn
from transformers import CLIPTokenizer, Sam3Model

from sam3_tool.synthetic.phrases import Kind
from sam3_tool.training.batch import draw_batch
from sam3_tool.training.export import export_checkpoint
from sam3_tool.training.networks.architecture import create_model, normalize_neck
from sam3_tool.training.networks.detector import LearningSam3, draw_noisy_boxes
from sam3_tool.training.optimization import losses as loss
from sam3_tool.training.optimization.averaging import update_average
from sam3_tool.training.optimization.log import log_steps
from sam3_tool.training.optimization.optimizer import Optimizer
from sam3_tool.training.optimization.state import load_state, save_state
from sam3_tool.training.tokenizer import learn_tokenizer

TRUNK_KINDS: tuple[Kind, ...] = ("positive", "positive", "positive", "negative")
DETECTOR_KINDS: tuple[tuple[Kind, ...], ...] = (
    ("positive", "positive", "negative", "visual", "text_minus_box"),
    ("positive", "negative", "negative", "visual", "text_minus_box"),
    ("positive", "negative", "text_plus_box", "visual", "text_minus_box"),
)
"""Questions asked about each image of a batch; batches take turns."""


@dataclass(frozen=True)
class Recipe:
    """Every number of a run; the defaults made the first of the two runs behind the shipped checkpoint."""

    out: Path
    start: Path | None = None
    """A checkpoint's folder to go on from, with stage 2; None = from scratch, with both stages."""
    seed: int = 0
    workers: int = 2
    """Processes of one thread each; gradients are averaged."""
    trunk_steps: int = 1200
    detector_steps: int = 1860
    trunk_cooldown_steps: int = 200
    """The last of `trunk_steps`."""
    cooldown_steps: int = 1160
    """The last of `detector_steps`."""
    outlines_from: int = 600
    """Step of stage 1 from which patches also draw silhouettes, and most scenes hold shapes only: things come first,
    they tell themselves apart by colour."""
    trunk_images: int = 12
    detector_images: int = 5
    """Images a worker sees per step."""
    mask_images: int = 3
    most_masks: int = 5
    warmup_steps: int = 40
    trunk_lr: tuple[float, float] = (4e-3, 2e-3)
    """Muon, AdamW."""
    detector_lr: tuple[float, float] = (3e-3, 1.2e-3)
    peak: float = 1.0
    """Share of the learning rates above: less than 1 for a run that goes on from a checkpoint that had cooled down."""
    vision_share: float = 0.15
    """Share of the detector's learning rate for the vision encoder in stage 2."""
    bfloat16: bool = False
    """Compute the large layers in bfloat16: half as slow on CPUs that have units for it, far slower on others."""
    averaging: float = 0.997
    """Decay of the running average of the weights, which is what is shipped."""
    save_every: int = 100
    log_every: int = 20

    @property
    def steps(self) -> int:
        return self.trunk_steps + self.detector_steps

    def compute_lr_share(self, step: int) -> float:
        """Return the share of the full learning rate at this step.

        Each stage warms up, stays, and cools down at its end.
        """
        in_trunk = step < self.trunk_steps
        warm = (step if in_trunk else step - self.trunk_steps) + 1
        left = (self.trunk_steps if in_trunk else self.steps) - step
        cool = left / (self.trunk_cooldown_steps if in_trunk else self.cooldown_steps)
        return self.peak * min(1.0, warm / self.warmup_steps, max(0.02, cool))


class DetectorRun:
    """One worker's state: the network, its running average, the optimizer, the step."""

    def __init__(self, recipe: Recipe, worker: int) -> None:
        torch.manual_seed(recipe.seed)  # every worker starts from the same weights
        self.recipe, self.worker = recipe, worker
        self.tokenizer = CLIPTokenizer.from_pretrained(recipe.out / "tokenizer")
        self.network = LearningSam3(create_model(len(self.tokenizer)), half=recipe.bfloat16)
        self.network.sam3.vision_encoder.neck.to(memory_format=torch.channels_last)
        self.network.sam3.mask_decoder.to(memory_format=torch.channels_last)
        self.step = 0
        if recipe.start is not None:
            self.network.sam3.load_state_dict(Sam3Model.from_pretrained(recipe.start, dtype=torch.float32).state_dict())
            self.step = recipe.trunk_steps
        self.average = {name: value.clone() for name, value in self.network.state_dict().items()}
        self.optimizer = self._build_optimizer(self.step)

    def _build_optimizer(self, step: int) -> Optimizer:
        """Build the optimizer of the stage that this step belongs to."""
        in_trunk = step < self.recipe.trunk_steps
        muon, adamw = self.recipe.trunk_lr if in_trunk else self.recipe.detector_lr
        vision_share = 1.0 if in_trunk else self.recipe.vision_share
        half = self.recipe.bfloat16
        return Optimizer(self.network, vision_share=vision_share, muon_lr=muon, adamw_lr=adamw, half=half)

    def advance(self) -> dict[str, float]:
        """Make one step, and return the losses it saw."""
        if self.step == self.recipe.trunk_steps and self.recipe.start is None:
            self._begin_detector()
        torch.manual_seed(hash((self.recipe.seed, self.step, self.worker)))
        losses = (
            self._compute_trunk_losses() if self.step < self.recipe.trunk_steps else self._compute_detector_losses()
        )
        total = torch.stack([value.reshape(()) for value in losses.values()]).sum()
        total.backward()  # type: ignore[no-untyped-call]
        self._share_gradients()
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), 2.0)
        # a step with an infinite gradient is left out: it would spoil every weight
        if torch.isfinite(norm):
            self.optimizer.step(self.recipe.compute_lr_share(self.step))
        self.network.zero_grad(set_to_none=True)
        self._update_average()
        self.step += 1
        return {name: float(value.detach()) for name, value in losses.items()} | {"gradient": float(norm)}

    def _begin_detector(self) -> None:
        images, _ = draw_batch((self.recipe.seed, self.step, 99), 16, TRUNK_KINDS, self.tokenizer)
        normalize_neck(self.network.sam3, images.pixels)
        self.optimizer = self._build_optimizer(self.step)
        self.average = {name: value.clone() for name, value in self.network.state_dict().items()}

    def _compute_trunk_losses(self) -> loss.Losses:
        outlines = self.step >= self.recipe.outlines_from
        images, questions = draw_batch(
            self._get_batch_seed(),
            self.recipe.trunk_images,
            TRUNK_KINDS,
            self.tokenizer,
            shapes_only=0.6 if outlines else 0.0,
        )
        features = self.network.encode_images(images.pixels, fine=0)
        words = self.network.encode_phrases(questions)
        losses = loss.compute_dense_losses(self.network, features, images)
        losses |= loss.compute_alignment_loss(self.network, features, images, questions, words)
        return losses | (loss.compute_silhouette_loss(self.network, features, images) if outlines else {})

    def _compute_detector_losses(self) -> loss.Losses:
        kinds = DETECTOR_KINDS[self.step % len(DETECTOR_KINDS)]
        images, questions = draw_batch(self._get_batch_seed(), self.recipe.detector_images, kinds, self.tokenizer)
        features = self.network.encode_images(images.pixels, fine=self.recipe.mask_images)
        found = self.network.detect(features, questions, draw_noisy_boxes(images, questions, 0.7, 0.9))
        dense = loss.compute_dense_losses(self.network, features, images)
        dense |= loss.compute_silhouette_loss(self.network, features, images)
        dense |= loss.compute_alignment_loss(
            self.network, features, images, questions, found.prompt[:, : questions.tokens.shape[1]]
        )
        return {name: 0.25 * value for name, value in dense.items()} | loss.compute_detector_losses(
            self.network, features, images, questions, found, most_masks=self.recipe.most_masks
        )

    def _get_batch_seed(self) -> tuple[int, int, int]:
        return (self.recipe.seed, self.step, self.worker)

    def _share_gradients(self) -> None:
        """Average gradients over the workers, in one message."""
        if self.recipe.workers == 1:
            return
        parameters = [p for p in self.network.parameters() if p.requires_grad]
        for parameter in parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        flat = torch.cat([p.grad.reshape(-1) for p in parameters])  # type: ignore[union-attr]
        dist.all_reduce(flat)
        flat /= self.recipe.workers
        for parameter, part in zip(parameters, torch.split(flat, [p.numel() for p in parameters]), strict=True):
            parameter.grad = part.view_as(parameter)

    def _update_average(self) -> None:
        age = self.step if self.step < self.recipe.trunk_steps else self.step - self.recipe.trunk_steps
        # a short average at first, so that the untrained weights are soon forgotten
        decay = min(self.recipe.averaging, (1 + age) / (10 + age))
        update_average(self.average, self.network.state_dict(), decay)

    def save(self) -> None:
        save_state(
            self.recipe.out,
            step=self.step,
            network=self.network.state_dict(),
            average=self.average,
            optimizer=self.optimizer.state_dict(),
        )

    def resume(self) -> None:
        state = load_state(self.recipe.out)
        if state is None:
            return
        self.step, self.average = state["step"], state["average"]
        self.network.load_state_dict(state["network"])
        # saved at the very turn of the stages, the optimizer is still that of the first
        self.optimizer = self._build_optimizer(self.step - 1)
        self.optimizer.load_state_dict(state["optimizer"])

    def export(self) -> None:
        export_checkpoint(self.build_averaged_network().sam3, self.tokenizer, self.recipe.out / "checkpoint")

    def build_averaged_network(self) -> LearningSam3:
        """Return a copy of the network with the averaged weights."""
        copy = LearningSam3(create_model(len(self.tokenizer)))
        copy.load_state_dict(self.average)
        return copy


def prepare_folder(recipe: Recipe) -> None:
    """Make the run's folder, with the tokenizer that all workers share: learning it breaks ties by chance."""
    recipe.out.mkdir(parents=True, exist_ok=True)
    (recipe.out / "meeting").unlink(missing_ok=True)
    if not (recipe.out / "tokenizer").exists():
        tokenizer = CLIPTokenizer.from_pretrained(recipe.start) if recipe.start else learn_tokenizer()
        tokenizer.save_pretrained(recipe.out / "tokenizer")


def run_worker(worker: int, recipe: Recipe) -> None:
    """Run one process's share of the training."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    cv2.setNumThreads(1)
    if recipe.workers > 1:
        dist.init_process_group(
            "gloo", init_method=f"file://{(recipe.out / 'meeting').resolve()}", rank=worker, world_size=recipe.workers
        )
    run = DetectorRun(recipe, worker)
    run.resume()
    recent: list[dict[str, float]] = []
    started, first = time.time(), run.step
    while run.step < recipe.steps:
        recent.append(run.advance())
        if worker == 0 and run.step % recipe.log_every == 0:
            seconds = (time.time() - started) / (run.step - first)
            log_steps(recipe.out, recent, step=run.step, seconds=seconds, rate=recipe.compute_lr_share(run.step - 1))
            recent = []
        if worker == 0 and (run.step % recipe.save_every == 0 or run.step == recipe.steps):
            run.save()
            run.export()
    if worker == 0 and run.step == first:  # nothing was left to do, but the run may have been killed before its export
        run.export()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder for state, log and checkpoint")
    parser.add_argument("--start", type=Path, help="a checkpoint's folder to go on from (default: from scratch)")
    for name in ("seed", "workers", "trunk_steps", "trunk_cooldown_steps", "detector_steps", "cooldown_steps"):
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, default=getattr(Recipe, name))
    for name in ("peak", "vision_share"):
        parser.add_argument(f"--{name.replace('_', '-')}", type=float, default=getattr(Recipe, name))
    parser.add_argument("--bfloat16", action="store_true", help="for CPUs with units for it")
    recipe = Recipe(**vars(parser.parse_args()))
    prepare_folder(recipe)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    if recipe.workers == 1:
        run_worker(0, recipe)
    else:
        # large tensors stay in the process instead of going back to the system after every use
        os.environ |= {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(2**34)}
        spawn(run_worker, (recipe,), nprocs=recipe.workers)  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    main()
