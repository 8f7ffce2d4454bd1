"""Fine-tune a checkpoint of the embedded architecture on labels: fixed steps, resumable, the same seed the same run.

Each step sees new images, mixed with generated scenes of the world that the checkpoint learnt, so that it forgets
nothing (SAM 3, appendix on domain adaptation, mixes 1:1). A pair whose answer may be incomplete teaches only what it
shows: its other queries count neither as wrong nor as right (the official trainer's `weak_loss`).
"""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn
from transformers import CLIPTokenizer, Sam3Model

from sam3_tool.synthetic.phrases import Kind
from sam3_tool.synthetic.scenes import HELD_OUT, draw_scene
from sam3_tool.training.export import export_checkpoint
from sam3_tool.training.finetuning.labels import LabelBatch, LabelledImage, build_label_batch, label_scene
from sam3_tool.training.networks.architecture import create_model
from sam3_tool.training.networks.detector import LearningSam3
from sam3_tool.training.optimization import losses as loss
from sam3_tool.training.optimization.averaging import update_average
from sam3_tool.training.optimization.log import log_steps
from sam3_tool.training.optimization.optimizer import Optimizer
from sam3_tool.training.optimization.state import load_state, save_state

KNOWN_KINDS: tuple[Kind, ...] = ("positive", "negative")
"""Questions about each scene of the known world."""


@dataclass(frozen=True)
class FinetuneRecipe:
    """Every number of a run."""

    out: Path
    start: Path
    """The checkpoint's folder."""
    seed: int = 0
    steps: int = 300
    new_images: int = 4
    """Labelled images a step."""
    known_images: int = 4
    """Scenes of the known world a step."""
    mask_images: int = 5
    """The first images of a step, the labelled ones first, whose masks are learnt: pixels are the dear part."""
    most_masks: int = 8
    """Questions of a step whose masks are learnt."""
    warmup_steps: int = 20
    rates: tuple[float, float] = (1.2e-3, 5e-4)
    """Muon, AdamW."""
    vision_share: float = 0.5
    """Share of these rates for the vision encoder."""
    averaging: float = 0.98
    """Decay of the running average of the weights, which is what is exported."""
    bfloat16: bool = False
    save_every: int = 50
    log_every: int = 10

    def compute_rate_share(self, step: int) -> float:
        """Return the share of the full rate: a short warm-up, then a straight line down to a fiftieth."""
        return min((step + 1) / self.warmup_steps, max(0.02, 1 - step / self.steps))


class FinetuneRun:
    """The network, its running average, the optimizer, the step."""

    def __init__(self, recipe: FinetuneRecipe, labelled: Sequence[LabelledImage]) -> None:
        torch.manual_seed(recipe.seed)
        self.recipe = recipe
        self.labelled: list[LabelledImage] = [image for image in labelled if image.pairs]
        self.tokenizer = CLIPTokenizer.from_pretrained(recipe.start)
        self.network = LearningSam3(create_model(len(self.tokenizer)), half=recipe.bfloat16)
        self.network.sam3.load_state_dict(Sam3Model.from_pretrained(recipe.start, dtype=torch.float32).state_dict())
        self.network.sam3.vision_encoder.neck.to(memory_format=torch.channels_last)
        self.network.sam3.mask_decoder.to(memory_format=torch.channels_last)
        self.average = {name: value.clone() for name, value in self.network.sam3.state_dict().items()}
        muon, adamw = recipe.rates
        self.optimizer = Optimizer(
            self.network, vision_share=recipe.vision_share, muon_lr=muon, adamw_lr=adamw, half=recipe.bfloat16
        )
        self.step = 0

    def advance(self) -> dict[str, float]:
        """Make one step, and return the losses it saw."""
        torch.manual_seed(hash((self.recipe.seed, self.step)))
        losses = compute_label_losses(self.network, self.draw_batch(), self.recipe)
        torch.stack([value.reshape(()) for value in losses.values()]).sum().backward()  # type: ignore[no-untyped-call]
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), 2.0)
        # a step with an infinite gradient is left out: it would spoil every weight
        if torch.isfinite(norm):
            self.optimizer.step(self.recipe.compute_rate_share(self.step))
        self.network.zero_grad(set_to_none=True)
        update_average(self.average, self.network.sam3.state_dict(), self.recipe.averaging)
        self.step += 1
        return {name: float(value.detach()) for name, value in losses.items()} | {"gradient": float(norm)}

    def draw_batch(self) -> LabelBatch:
        """Take the next labelled images of this pass, in an order that changes with every pass, and known scenes."""
        count, first = self.recipe.new_images, self.step * self.recipe.new_images
        new = [self._pick_labelled(number) for number in range(first, first + count)]
        rng = np.random.default_rng([self.recipe.seed, self.step])
        seeds = rng.integers(HELD_OUT, size=self.recipe.known_images)
        known = [label_scene(draw_scene(int(seed)), KNOWN_KINDS, rng) for seed in seeds]
        return build_label_batch([*new, *known], self.tokenizer)

    def _pick_labelled(self, number: int) -> LabelledImage:
        rounds, place = divmod(number, len(self.labelled))
        order = np.random.default_rng([self.recipe.seed, rounds, 1]).permutation(len(self.labelled))
        return self.labelled[int(order[place])]

    def save(self) -> None:
        save_state(
            self.recipe.out,
            step=self.step,
            network=self.network.state_dict(),
            average=self.average,
            optimizer=self.optimizer.state_dict(),
        )

    def resume(self) -> None:
        """Go on from what was saved, if anything was."""
        state = load_state(self.recipe.out)
        if state is not None:
            self.step, self.average = state["step"], state["average"]
            self.network.load_state_dict(state["network"])
            self.optimizer.load_state_dict(state["optimizer"])

    def export(self) -> None:
        """Write the averaged network as a checkpoint's folder that `Sam3.load` reads."""
        averaged = create_model(len(self.tokenizer))
        averaged.load_state_dict(self.average)
        export_checkpoint(averaged, self.tokenizer, self.recipe.out / "checkpoint")


def compute_label_losses(network: LearningSam3, batch: LabelBatch, recipe: FinetuneRecipe) -> loss.Losses:
    """Compute the losses of presence, boxes and masks. Without exhaustive labels, what is not shown teaches nothing."""
    images, questions = batch.images, batch.questions
    features = network.encode_images(images.pixels, fine=recipe.mask_images)
    no_hints = torch.zeros(len(questions.tokens), 0, 4)
    found = network.detect(features, questions, no_hints)
    present = questions.targets.any(dim=1)
    boxes = images.boxes[questions.image_index]
    matches = loss.match_queries(found, boxes, questions.targets)
    losses = loss.compute_presence_loss(found, present, counted=present | batch.exhaustive)
    losses |= loss.compute_set_losses(found, boxes, matches, present, exhaustive=batch.exhaustive)
    return losses | loss.compute_mask_losses(network, features, images, questions, found, matches, recipe.most_masks)


def run_finetuning(recipe: FinetuneRecipe, labelled: Sequence[LabelledImage]) -> Path:
    """Run to the last step, from wherever an earlier run of this folder stopped.

    Returns:
        The folder of the fine-tuned checkpoint.
    """
    torch.set_flush_denormal(True)
    recipe.out.mkdir(parents=True, exist_ok=True)
    run = FinetuneRun(recipe, labelled)
    run.resume()
    recent: list[dict[str, float]] = []
    started, first = time.process_time(), run.step
    while run.step < recipe.steps:
        recent.append(run.advance())
        if run.step % recipe.log_every == 0:
            seconds = (time.process_time() - started) / (run.step - first)
            rate = recipe.compute_rate_share(run.step - 1)
            log_steps(recipe.out, recent, step=run.step, seconds=seconds, rate=rate)
            recent = []
        if run.step % recipe.save_every == 0:
            run.save()
    run.save()
    run.export()
    logging.getLogger(__name__).info("wrote %s", recipe.out / "checkpoint")
    return recipe.out / "checkpoint"
