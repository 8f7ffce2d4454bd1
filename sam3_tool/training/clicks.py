"""Train the tracker head of the embedded checkpoint: `python -m sam3_tool.training.clicks --out runs/clicks`.

The detector's vision trunk stays as it is and is shared, its neck is copied; a prompt encoder and a mask decoder learn
to turn a click, a box or an earlier mask into the mask of one object, and to mend it click by click (SAM, 2023). Every
batch is a function of (seed, step), and all state is saved as it goes: the same command run again resumes.
"""

import argparse
import logging
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import torch
from torch import nn
from torchvision.ops import box_convert
from transformers import Sam3Model

from sam3_tool.backends.transformers.files.checkpoint import locate_checkpoint
from sam3_tool.synthetic.scenes import HELD_OUT, draw_scene
from sam3_tool.training.batch import ImageBatch, build_image_batch
from sam3_tool.training.clicking import draw_stray_click, find_centre_click, find_next_click
from sam3_tool.training.export import export_tracker
from sam3_tool.training.networks.architecture import FINE_SIDE, IMAGE_SIDE, create_tracker, normalize_neck
from sam3_tool.training.networks.tracker import (
    LearningTracker,
    Losses,
    TrackerPrompts,
    compute_click_losses,
    to_mask_prompt,
    to_points,
    upsample_logits,
)
from sam3_tool.training.optimization.averaging import update_average
from sam3_tool.training.optimization.log import log_steps
from sam3_tool.training.optimization.optimizer import Optimizer
from sam3_tool.training.optimization.state import load_state, save_state
from sam3_tool.training.spoiling import spoil_mask

Start = Literal["click", "box", "mask"]
STARTS: tuple[Start, ...] = ("click", "box", "click", "mask", "click", "box")
"""What names the objects of a step; steps take turns."""


FAINT_STD = 0.3
"""Std of the level that clicks attend to: its pixels' places must speak louder than their content, at first."""


@dataclass(frozen=True)
class Recipe:
    """Every number of a run; the defaults made the shipped head."""

    out: Path
    start: str = "tiny"
    """The checkpoint whose trunk is used: 'tiny' or a folder."""
    seed: int = 0
    steps: int = 1160
    cooldown_steps: int = 460
    """The last of `steps`."""
    warmup_steps: int = 40
    images: int = 6
    """Per step."""
    drawn_images: int = 12
    """Images drawn, and seen by the frozen trunk, at a time."""
    steps_per_draw: int = 8
    """Steps that choose their images from the same `drawn_images`."""
    objects: int = 5
    """Objects of each image, at most."""
    corrections: int = 3
    """Clicks after the first prompt of a step, at most."""
    corrections_from: int = 300
    """Step from which there are any."""
    lr: tuple[float, float] = (2e-3, 1.2e-3)
    """Muon, AdamW."""
    calibration: int = 16
    """Images by which the neck's levels are brought to unit scale."""
    bfloat16: bool = False
    averaging: float = 0.99
    """Decay of the running average of the weights, which is what is shipped."""
    save_every: int = 100
    log_every: int = 20

    def compute_lr_share(self, step: int) -> float:
        """Return the share of the full learning rate at this step: it warms up, stays, and cools down."""
        return min(1.0, (step + 1) / self.warmup_steps, max(0.02, (self.steps - step) / self.cooldown_steps))


@dataclass(frozen=True, eq=False)
class Objects:
    """R objects of a step's images, then clicks on nothing."""

    image_index: torch.Tensor
    """int64, (R,)."""
    truth: torch.Tensor
    """float32, (R, FINE_SIDE, FINE_SIDE): share of each cell that is the object's."""
    others: torch.Tensor
    """float32, the same: what another object of the image covers."""
    boxes: torch.Tensor
    """float32, (R, 4), x0 y0 x1 y1 in pixels of the square."""
    real: torch.Tensor
    """bool, (R,): False = there is nothing here."""

    def __getitem__(self, rows: torch.Tensor) -> "Objects":
        return Objects(*(column[rows] for column in (self.image_index, self.truth, self.others, self.boxes, self.real)))


class TrackerRun:
    """The network, its running average, the optimizer, the step."""

    def __init__(self, recipe: Recipe) -> None:
        torch.manual_seed(recipe.seed)
        self.recipe = recipe
        detector = Sam3Model.from_pretrained(locate_checkpoint(recipe.start), dtype=torch.float32).eval()
        self.network = LearningTracker(create_tracker(detector), half=recipe.bfloat16)
        normalize_neck(
            self.network.sam3,
            build_image_batch(_draw_scenes((recipe.seed, 2**32), recipe.calibration)).pixels,
            coarse=FAINT_STD,
        )
        self.step = 0
        self.average = {name: value.clone() for name, value in self._get_learnt_weights().items()}
        muon, adamw = recipe.lr
        self.optimizer = Optimizer(self.network, vision_share=1.0, muon_lr=muon, adamw_lr=adamw, half=recipe.bfloat16)
        self._drawn: tuple[int, ImageBatch, list[torch.Tensor]] | None = None

    def advance(self) -> dict[str, float]:
        """Make one step, and return the losses it saw, averaged over its prompts."""
        rng = np.random.default_rng((self.recipe.seed, self.step))
        levels, objects = self._choose_images(rng)
        losses = self._compute_losses(levels, objects, rng)
        total = torch.stack([value for name, value in losses.items() if not name.startswith("iou")]).sum()
        total.backward()  # type: ignore[no-untyped-call]
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), 2.0)
        if torch.isfinite(norm):
            self.optimizer.step(self.recipe.compute_lr_share(self.step))
        self.network.zero_grad(set_to_none=True)
        self._update_average()
        self.step += 1
        return {name: float(value.detach()) for name, value in losses.items()} | {"gradient": float(norm)}

    def _choose_images(self, rng: np.random.Generator) -> tuple[list[torch.Tensor], Objects]:
        """Return the neck's levels of some images, and what to ask for in them."""
        draw = self.step // self.recipe.steps_per_draw
        if self._drawn is None or self._drawn[0] != draw:
            images = build_image_batch(_draw_scenes((self.recipe.seed, draw), self.recipe.drawn_images))
            self._drawn = (draw, images, self.network.encode_images(images.pixels))
        _, images, levels = self._drawn
        rows = rng.choice(self.recipe.drawn_images, self.recipe.images, replace=False)
        return [level[rows] for level in levels], _choose_objects(images, rows, self.recipe.objects, rng)

    def _compute_losses(self, levels: list[torch.Tensor], objects: Objects, rng: np.random.Generator) -> Losses:
        """Ask a first prompt and its corrections, and return the mean of their losses."""
        start = STARTS[self.step % len(STARTS)]
        prompts = _draw_first_prompts(start, objects, rng)
        if start != "click":
            objects = objects[objects.real]
        rounds: list[Losses] = []
        corrections = self._draw_correction_count(rng)
        for round_index in range(1 + corrections):
            # one time in five the single mask learns, which the video classes use
            found = self.network.predict_masks(levels, prompts, several=rng.random() > 0.2)
            rounds.append(compute_click_losses(found, objects.truth, objects.real))
            if round_index < corrections:
                kept = objects.real
                prompts, objects = _draw_correction(
                    _select_prompts(prompts, kept), found.best[kept], objects[kept], rng
                )
        means = {name: torch.stack([losses[name] for losses in rounds]).mean() for name in rounds[0]}
        return means | {f"iou after {start}": rounds[0]["iou"], f"iou after {corrections} more": rounds[-1]["iou"]}

    def _draw_correction_count(self, rng: np.random.Generator) -> int:
        """Draw the number of corrections: none while first answers are still noise."""
        return int(rng.integers(self.recipe.corrections + 1)) if self.step >= self.recipe.corrections_from else 0

    def _get_learnt_weights(self) -> dict[str, torch.Tensor]:
        frozen = "sam3.vision_encoder.backbone."
        return {name: value for name, value in self.network.state_dict().items() if not name.startswith(frozen)}

    def _update_average(self) -> None:
        decay = min(self.recipe.averaging, (1 + self.step) / (10 + self.step))
        update_average(self.average, self._get_learnt_weights(), decay)

    def save(self) -> None:
        save_state(
            self.recipe.out,
            step=self.step,
            network=self._get_learnt_weights(),
            average=self.average,
            optimizer=self.optimizer.state_dict(),
        )

    def export(self) -> None:
        export_tracker(self.average, locate_checkpoint(self.recipe.start), self.recipe.out / "checkpoint")

    def resume(self) -> None:
        state = load_state(self.recipe.out)
        if state is None:
            return
        self.step, self.average = state["step"], state["average"]
        self.network.load_state_dict(state["network"], strict=False)  # the frozen trunk is not in it
        self.optimizer.load_state_dict(state["optimizer"])


def _draw_scenes(seed: tuple[int, int], count: int) -> list[Any]:
    rng = np.random.default_rng(seed)
    return [draw_scene(int(scene_seed)) for scene_seed in rng.integers(HELD_OUT, size=count)]


def _choose_objects(images: ImageBatch, rows: np.ndarray, most: int, rng: np.random.Generator) -> Objects:
    """Return up to `most` objects of each of these images, then a click on nothing for every other image."""
    chosen = [
        (place, int(row), int(thing))
        for place, row in enumerate(rows)
        for thing in rng.permutation(int(images.exist[row].sum()))[:most]
    ]
    places, owners, things = (torch.tensor(column) for column in zip(*chosen, strict=True))
    covered = images.fine_masks.amax(dim=1)
    truth = images.fine_masks[owners, things]
    nothing = torch.arange(0, len(rows), 2)
    empty = torch.zeros(len(nothing), FINE_SIDE, FINE_SIDE)
    return Objects(
        image_index=torch.cat([places, nothing]),
        truth=torch.cat([truth, empty]),
        others=torch.cat([(covered[owners] - truth).clamp(min=0), covered[torch.from_numpy(rows)][nothing]]),
        boxes=torch.cat([box_convert(images.boxes[owners, things], "cxcywh", "xyxy"), torch.zeros(len(nothing), 4)])
        * IMAGE_SIDE,
        real=torch.arange(len(places) + len(nothing)) < len(places),
    )


def _draw_first_prompts(start: Start, objects: Objects, rng: np.random.Generator) -> TrackerPrompts:
    """Draw a click in every object (and on nothing), a more or less exact box, or a spoilt mask and a click."""
    if start == "click":
        points, labels = to_points(
            [_draw_first_click(*object_masks, rng) for object_masks in zip(objects.truth, objects.others, strict=True)]
        )
        return TrackerPrompts(objects.image_index, points, labels)
    objects = objects[objects.real]
    if start == "box":
        return TrackerPrompts(objects.image_index, boxes=_perturb_boxes(objects.boxes, rng))
    spoilt = [
        spoil_mask(truth.numpy() > 0.5, others.numpy() > 0.5, rng)
        for truth, others in zip(objects.truth, objects.others, strict=True)
    ]
    masks = torch.from_numpy(np.stack(spoilt))[:, None]
    return _add_click(TrackerPrompts(objects.image_index), masks, to_mask_prompt(masks), objects, rng)


def _draw_first_click(truth: torch.Tensor, others: torch.Tensor, rng: np.random.Generator) -> tuple[int, int, int]:
    """Draw a click anywhere in the object or, as often, in its middle. For nothing: where no object is."""
    solid = truth.numpy() > 0.5
    if not solid.any():
        free = others.numpy() < 0.01
        column, row, _ = draw_stray_click(free if free.any() else ~solid, solid, rng)
        return column, row, 1
    return find_centre_click(solid) if rng.random() < 0.5 else draw_stray_click(solid, np.zeros_like(solid), rng)


def _perturb_boxes(boxes: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Keep half of the boxes exact, and move each edge of the others by about a tenth of the box's side."""
    sides = (boxes[:, 2:] - boxes[:, :2]).repeat(1, 2)
    noise = torch.from_numpy(rng.normal(0, 0.1, boxes.shape).clip(-0.2, 0.2).astype(np.float32))
    rough = torch.from_numpy(rng.random((len(boxes), 1)) < 0.5)
    return torch.where(rough, boxes + noise * sides, boxes).clamp(0, IMAGE_SIDE)


def _draw_correction(
    prompts: TrackerPrompts, logits: torch.Tensor, objects: Objects, rng: np.random.Generator
) -> tuple[TrackerPrompts, Objects]:
    """Return the next click, with the answer so far as a mask prompt: its logits, the cut mask, or (seldom) nothing."""
    masks = upsample_logits(logits) > 0
    earlier = [logits, to_mask_prompt(masks), None][int(rng.choice(3, p=[0.4, 0.4, 0.2]))]
    return _add_click(prompts, masks, earlier, objects, rng), objects


def _add_click(
    prompts: TrackerPrompts,
    masks: torch.Tensor,
    earlier: torch.Tensor | None,
    objects: Objects,
    rng: np.random.Generator,
) -> TrackerPrompts:
    clicks = [
        find_next_click(truth > 0.5, mask) if rng.random() < 0.5 else draw_stray_click(truth > 0.5, mask, rng)
        for truth, mask in zip(objects.truth.numpy(), masks[:, 0].numpy(), strict=True)
    ]
    points, labels = to_points(clicks)
    if prompts.points is not None and prompts.labels is not None:
        points, labels = torch.cat([prompts.points, points], 1), torch.cat([prompts.labels, labels], 1)
    return replace(prompts, points=points, labels=labels, masks=earlier)


def _select_prompts(prompts: TrackerPrompts, rows: torch.Tensor) -> TrackerPrompts:
    columns = (prompts.image_index, prompts.points, prompts.labels, prompts.boxes, prompts.masks)
    return TrackerPrompts(*(column if column is None else column[rows] for column in columns))  # type: ignore[arg-type]


def train_tracker(recipe: Recipe) -> None:
    recipe.out.mkdir(parents=True, exist_ok=True)
    run = TrackerRun(recipe)
    run.resume()
    recent: list[dict[str, float]] = []
    started, first = time.time(), run.step
    while run.step < recipe.steps:
        recent.append(run.advance())
        if run.step % recipe.log_every == 0:
            seconds = (time.time() - started) / (run.step - first)
            log_steps(recipe.out, recent, step=run.step, seconds=seconds, rate=recipe.compute_lr_share(run.step - 1))
            recent = []
        if run.step % recipe.save_every == 0 or run.step == recipe.steps:
            run.save()
            run.export()
    if run.step == first:  # nothing was left to do, but the run may have been killed before its export
        run.export()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder for state, log and checkpoint")
    parser.add_argument("--start", default=Recipe.start, help="checkpoint whose trunk is used (default: tiny)")
    for name in ("seed", "steps", "cooldown_steps"):
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, default=getattr(Recipe, name))
    parser.add_argument("--bfloat16", action="store_true", help="for CPUs with units for it")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    cv2.setNumThreads(1)
    train_tracker(Recipe(**vars(parser.parse_args())))


if __name__ == "__main__":
    main()
