"""Train the tracker's memory of the embedded checkpoint: `python -m sam3_tool.training.memory.train --out runs/memory`.

Trunk, detector, prompt encoder and mask decoder stay as they are, bit for bit; the memory learns to make of a new
frame and of earlier ones what lets the frozen decoder draw the same object again (SAM 2, 2024). Objects are followed
through whole clips; each step goes on with one group of them for a few frames and learns from these (truncated
back-propagation through time), so that the memories it meets late in a clip are its own.
"""

import argparse
import logging
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import torch
from torch import nn
from transformers import Sam3TrackerVideoModel

from sam3_tool.backends.transformers.files.checkpoint import locate_checkpoint
from sam3_tool.backends.transformers.files.weights import silence_transformers
from sam3_tool.training.clicking import draw_stray_click, find_centre_click, find_next_click
from sam3_tool.training.export import export_memory
from sam3_tool.training.memory.clips import CLIP_LENGTH, ClipFeatures
from sam3_tool.training.memory.losses import compute_memory_losses, measure_overlap
from sam3_tool.training.memory.network import ADDED_PARTS, Answer, LearningMemory, Levels, Memory
from sam3_tool.training.memory.start import initialize_mask_prompt, initialize_memory
from sam3_tool.training.networks.architecture import FINE_SIDE, MASK_SIDE
from sam3_tool.training.networks.tracker import CERTAIN_LOGIT, Losses, to_points, upsample_logits
from sam3_tool.training.optimization.averaging import update_average
from sam3_tool.training.optimization.optimizer import Optimizer
from sam3_tool.training.optimization.state import load_state, save_state
from sam3_tool.training.optimization.steps import make_steps

Start = Literal["mask", "click", "box"]


@dataclass(frozen=True)
class Recipe:
    """Every number of a run; the defaults made the shipped memory."""

    out: Path
    clips: Path
    """What `memory.clips` wrote."""
    held_out: Path | None = None
    """The same, of clips that are only looked at now and then."""
    start: str = "tiny"
    """The checkpoint whose trunk and decoder are used, and whose memory is gone on with: 'tiny' or a folder."""
    fresh: bool = False
    """Whether the memory begins from nothing, as it does where the checkpoint has none."""
    seed: int = 0
    steps: int = 720
    cooldown_steps: int = 480
    """The last of `steps`."""
    warmup_steps: int = 30
    groups: int = 6
    """Sets of objects that take turns."""
    clips_per_group: int = 4
    objects: int = 3
    """Of each clip, at most."""
    window: int = 4
    """Frames of a step."""
    whole_clips: float = 0.6
    """Share of the groups that follow their objects through CLIP_LENGTH frames; the others through half of them."""
    hidden_first: float = 0.3
    """Share of the clips in which objects that are hidden at times are preferred."""
    corrections: float = 0.05
    """Share of the frames on which a click or a mask corrects the answers."""
    short_sighted: float = 0.5
    """Share of the frames that see only the last few of the earlier ones, which is faster."""
    rescue: tuple[float, float] = (0.5, 0.15)
    """Share of hopeless answers that the truth replaces in the memory, at the beginning and from `rescue_steps` on."""
    rescue_steps: int = 400
    lr: tuple[float, float] = (1.5e-3, 5e-4)
    """Muon, AdamW."""
    peak: float = 1.0
    """Share of `lr` between warm-up and cool-down."""
    averaging: float = 0.99
    """Decay of the running average of the weights, of which the shipped memory is made."""
    kept: float = 0.35
    """Share of the weights that the run began with in what is shipped, unless it began from nothing. Between the two
    lies a memory better than either (Wortsman et al., 2022)."""
    save_every: int = 50
    log_every: int = 10
    look_every: int = 200
    """Steps between two looks at `held_out`."""

    def compute_lr_share(self, step: int) -> float:
        """Return the share of the full learning rate at this step: it warms up, stays, and cools down."""
        share = min(1.0, (step + 1) / self.warmup_steps, max(0.02, (self.steps - step) / self.cooldown_steps))
        return self.peak * share

    def compute_rescue(self, step: int) -> float:
        first, last = self.rescue
        return first + (last - first) * min(1.0, step / self.rescue_steps)


@dataclass(frozen=True, eq=False)
class Conditioning:
    """A frame with a prompt, from which the memory is made anew in every step, so that the encoder learns from it."""

    frame: int
    coarse: torch.Tensor
    """(R, WIDTH, GRID, GRID)."""
    masks: torch.Tensor
    """bool, (R, FINE_SIDE, FINE_SIDE)."""
    tokens: torch.Tensor
    """(R, WIDTH)."""
    presence: torch.Tensor
    """(R,): of the pointer."""

    def remember(self, network: LearningMemory) -> Memory:
        there = torch.ones(len(self.masks))
        features = network.encode_masks(self.coarse, self.masks.float(), there)
        return Memory(self.frame, features, network.point_at(self.tokens, self.presence), there > 0)


@dataclass(eq=False)
class Group:
    """R objects of some clips, followed from a frame on."""

    frames: list[list[int]]
    """Of each clip, the frames in the order in which they are watched."""
    clips: list[int]
    owners: list[int]
    """Of each object, its place in `clips`."""
    indices: list[int]
    """Of each object, its index within the clip."""
    position: int = 0
    """Number of frames that have been watched."""
    conditioning: list[Conditioning] = field(default_factory=list)
    past: list[Memory] = field(default_factory=list)

    @property
    def length(self) -> int:
        return len(self.frames[0])

    def read_levels(self, features: ClipFeatures, position: int) -> Levels:
        levels = features.read_levels(self.clips, [frames[position] for frames in self.frames])
        return [level[self.owners] for level in levels]

    def read_truth(self, features: ClipFeatures, position: int) -> torch.Tensor:
        """Return float32, (R, FINE_SIDE, FINE_SIDE)."""
        pairs = zip(self.owners, self.indices, strict=True)
        return torch.stack(
            [features.read_truth(self.clips[owner], self.frames[owner][position], index) for owner, index in pairs]
        )


class MemoryRun:
    """The network, its running average, the optimizer, the step."""

    def __init__(self, recipe: Recipe) -> None:
        torch.manual_seed(recipe.seed)
        self.recipe = recipe
        self.features = ClipFeatures.open(recipe.clips)
        with silence_transformers():
            sam3, report = Sam3TrackerVideoModel.from_pretrained(
                locate_checkpoint(recipe.start), dtype=torch.float32, output_loading_info=True
            )
        if recipe.fresh or report["missing_keys"]:
            initialize_mask_prompt(sam3)
            initialize_memory(sam3, self._sample_frames(), recipe.seed)
        self.kept = 0.0 if recipe.fresh or report["missing_keys"] else recipe.kept
        self.network = LearningMemory(sam3.eval())
        self.groups: dict[int, Group] = {}
        self.step = 0
        self.average = {name: value.detach().clone() for name, value in self._get_learnt_weights().items()}
        self.beginning = {name: value.clone() for name, value in self.average.items()}
        muon, adamw = recipe.lr
        self.optimizer = Optimizer(self.network, vision_share=1.0, muon_lr=muon, adamw_lr=adamw)

    def _sample_frames(self) -> torch.Tensor:
        """Return the coarsest level of a frame of each of some clips."""
        clips = list(range(min(200, self.features.count_ready())))
        return self.features.read_levels(clips, [clip % CLIP_LENGTH for clip in clips])[2]

    def advance(self) -> dict[str, float]:
        """Make one step, and return the losses it saw, averaged over its frames."""
        recipe, rng = self.recipe, np.random.default_rng((self.recipe.seed, self.step))
        turn = self.step % recipe.groups
        group = self.groups.get(turn)
        if group is None or group.position >= group.length:
            group = self.groups[turn] = draw_group(self.features, recipe, rng)
        losses = self._follow_objects(group, rng)
        total = torch.stack([value for name, value in losses.items() if not name.startswith("iou")]).sum()
        total.backward()  # type: ignore[no-untyped-call]
        norm = nn.utils.clip_grad_norm_(self._get_learnt_weights().values(), 2.0)
        if torch.isfinite(norm):
            self.optimizer.step(recipe.compute_lr_share(self.step))
        self.network.zero_grad(set_to_none=True)
        self._update_average()
        self.step += 1
        return {name: float(value.detach()) for name, value in losses.items()} | {"gradient": float(norm)}

    def _follow_objects(self, group: Group, rng: np.random.Generator) -> Losses:
        """Go on with a group for a few frames, and return the mean of their losses."""
        if group.position == 0:
            levels, truth = group.read_levels(self.features, 0), group.read_truth(self.features, 0)
            group.conditioning.append(start_objects(self.network, 0, levels, truth, draw_start(rng), rng))
            group.position = 1
        group.past = [memory.detach() for memory in group.past]
        conditioning = [prompted.remember(self.network) for prompted in group.conditioning]
        seen: list[Losses] = []
        early = group.position < 5
        for position in range(group.position, min(group.position + self.recipe.window, group.length)):
            levels, truth = group.read_levels(self.features, position), group.read_truth(self.features, position)
            short = rng.random() < self.recipe.short_sighted
            past = group.past[-int(rng.integers(1, 5)) :] if short else group.past
            mixed = self.network.recall(levels[2], position, conditioning, past)
            answer = self.network.propagate(levels, mixed)
            seen.append(compute_memory_losses(answer, truth))
            if rng.random() < self.recipe.corrections and (truth.flatten(1).amax(dim=1) > 0.5).all():
                corrected = correct_objects(self.network, position, levels, answer, truth, rng)
                group.conditioning.append(corrected)
                conditioning.append(corrected.remember(self.network))
            else:
                rescue = self.recipe.compute_rescue(self.step)
                group.past.append(remember_answer(self.network, position, levels, answer, truth, rescue, rng))
            group.position = position + 1
        means = {name: torch.stack([losses[name] for losses in seen]).mean() for name in seen[0]}
        return means | {"iou early" if early else "iou late": means["iou"]}

    @torch.no_grad()
    def look_at_held_out(self, features: ClipFeatures) -> dict[str, float]:
        """Follow every object of the first frames, given by masks, with the averaged weights: mean J by frame."""
        weights = {name: value.detach().clone() for name, value in self._get_learnt_weights().items()}
        self.network.load_state_dict(self.average, strict=False)
        overlaps = [follow_clip(self.network, features, clip) for clip in range(features.count_ready())]
        self.network.load_state_dict(weights, strict=False)
        curve = torch.cat([rows for rows in overlaps if len(rows)]).mean(dim=0)
        marks = {f"held-out J {frame}": float(curve[frame - 1]) for frame in (1, 5, 11, CLIP_LENGTH - 1)}
        return {"held-out J": float(curve.mean())} | marks

    def _get_learnt_weights(self) -> dict[str, nn.Parameter]:
        return {name: value for name, value in self.network.named_parameters() if value.requires_grad}

    def _update_average(self) -> None:
        decay = min(self.recipe.averaging, (1 + self.step) / (10 + self.step))
        update_average(self.average, self._get_learnt_weights(), decay)

    def save(self) -> None:
        """Save all but the groups: a resumed run begins with new ones."""
        network = {name: value.detach() for name, value in self._get_learnt_weights().items()}
        optimizer = self.optimizer.state_dict()
        save_state(self.recipe.out, step=self.step, network=network, average=self.average, optimizer=optimizer)

    def export(self) -> None:
        parameters = self.network.sam3.named_parameters()
        added = {f"sam3.{name}": value for name, value in parameters if name.startswith(ADDED_PARTS)}
        shipped = {name: value.lerp(self.beginning[name], self.kept) for name, value in self.average.items()}
        export_memory(added | shipped, locate_checkpoint(self.recipe.start), self.recipe.out / "checkpoint")

    def resume(self) -> None:
        state = load_state(self.recipe.out)
        if state is None:
            return
        self.step, self.average = state["step"], state["average"]
        self.network.load_state_dict(state["network"], strict=False)  # what is frozen is not in it
        self.optimizer.load_state_dict(state["optimizer"])


def draw_group(features: ClipFeatures, recipe: Recipe, rng: np.random.Generator) -> Group:
    """Choose clips, a way through each (forward or backward, whole, half, every other frame), and objects to follow."""
    length, stride = (CLIP_LENGTH, 1) if rng.random() < recipe.whole_clips else (CLIP_LENGTH // 2, 1 + rng.integers(2))
    group = Group([], [], [], [])
    ready = features.count_ready()
    while len(group.clips) < recipe.clips_per_group:
        clip, first = int(rng.integers(ready)), int(rng.integers(CLIP_LENGTH - (length - 1) * stride))
        frames = [first + int(stride) * step for step in range(length)][:: int(rng.choice([-1, 1]))]
        visible = _find_objects(features.ids[clip, frames[0]], share=0.004)
        if rng.random() < recipe.hidden_first:
            always = set.intersection(*(set(_find_objects(features.ids[clip, frame])) for frame in frames))
            visible.sort(key=lambda index: (index in always, rng.random()))
        else:
            rng.shuffle(visible)
        if visible:
            chosen = visible[: recipe.objects]
            group.owners += [len(group.clips)] * len(chosen)
            group.indices += chosen
            group.clips.append(clip)
            group.frames.append(frames)
    return group


def _find_objects(ids: np.ndarray, *, share: float = 0.0) -> list[int]:
    """Return the indices of the objects that cover more than this share of a frame."""
    areas = np.bincount(ids.ravel())[1:]
    return [int(index) for index in np.flatnonzero(areas > share * ids.size)]


def draw_start(rng: np.random.Generator) -> Start:
    starts: tuple[Start, ...] = ("mask", "click", "box")
    return starts[int(rng.choice(3, p=[0.5, 0.3, 0.2]))]


@torch.no_grad()
def start_objects(
    network: LearningMemory, position: int, levels: Levels, truth: torch.Tensor, start: Start, rng: np.random.Generator
) -> Conditioning:
    """Name objects by their masks, by a click in each or by a rough box; where that finds another, by its mask."""
    taken = network.take_masks(levels, truth)
    given = Conditioning(position, levels[2], _cut_masks(2 * truth - 1), taken.best_tokens, taken.presence)
    if start == "mask":
        return given
    prompts = _draw_clicks(truth, rng) if start == "click" else _draw_boxes(truth, rng)
    answer = network.answer_prompts(levels, *prompts)
    found = _condition(position, levels, answer)
    good = measure_overlap(found.masks.float() - 0.5, torch.ones(len(truth)), truth) > 0.4
    return replace(
        given,
        masks=torch.where(good[:, None, None], found.masks, given.masks),
        tokens=torch.where(good[:, None], found.tokens, given.tokens),
        presence=torch.where(good, found.presence, given.presence),
    )


@torch.no_grad()
def correct_objects(
    network: LearningMemory,
    position: int,
    levels: Levels,
    answer: Answer,
    truth: torch.Tensor,
    rng: np.random.Generator,
) -> Conditioning:
    """Give masks, as a detector does, or one click in the deepest error, as a person does."""
    if rng.random() < 0.5:
        return start_objects(network, position, levels, truth, "mask", rng)
    logits = answer.best_logits[:, None]
    masks = (upsample_logits(logits)[:, 0] > 0).numpy()
    pairs = zip(truth.numpy() > 0.5, masks, strict=True)
    clicks = to_points([find_next_click(solid, mask) for solid, mask in pairs])
    return _condition(position, levels, network.answer_prompts(levels, *clicks, masks=logits.clamp(-32, 32)))


def remember_answer(
    network: LearningMemory,
    position: int,
    levels: Levels,
    answer: Answer,
    truth: torch.Tensor,
    rescue: float,
    rng: np.random.Generator,
) -> Memory:
    """Write an answer to the memory. `rescue`: share of the hopeless ones that the truth replaces."""
    logits, presence = upsample_logits(answer.best_logits[:, None].detach())[:, 0], answer.presence.detach()
    rescued = (measure_overlap(logits, presence, truth) < 0.4) & (torch.from_numpy(rng.random(len(truth))) < rescue)
    true_presence = torch.where(truth.flatten(1).amax(dim=1) > 0.5, CERTAIN_LOGIT, -CERTAIN_LOGIT)
    presence = torch.where(rescued, true_presence, presence)
    cover = torch.where(rescued[:, None, None], truth, logits.sigmoid()) * (presence > 0)[:, None, None]
    features = network.encode_masks(levels[2], cover, presence)
    pointers = network.point_at(answer.best_tokens.detach(), presence)
    return Memory(position, features, pointers, torch.where(rescued, presence > 0, answer.is_sure))


def _condition(position: int, levels: Levels, answer: Answer) -> Conditioning:
    return Conditioning(position, levels[2], _cut_masks(answer.best_logits), answer.best_tokens, answer.presence)


def _cut_masks(logits: torch.Tensor) -> torch.Tensor:
    """Return bool, (R, FINE_SIDE, FINE_SIDE), by way of the mask decoder's resolution, as masks of prompts go."""
    small = nn.functional.interpolate(logits[:, None], (MASK_SIDE, MASK_SIDE), mode="bilinear", antialias=True)
    return upsample_logits(small)[:, 0] > 0


def _draw_clicks(truth: torch.Tensor, rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    nothing = np.zeros((FINE_SIDE, FINE_SIDE), bool)
    solids = [mask.numpy() > 0.5 for mask in truth]
    return to_points(
        [find_centre_click(solid) if rng.random() < 0.6 else draw_stray_click(solid, nothing, rng) for solid in solids]
    )


def _draw_boxes(truth: torch.Tensor, rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the corners of rough boxes as points: each edge is off by about a thirtieth of the side."""
    extents = []
    for mask in truth:
        rows, columns = torch.where(mask > 0.5)
        extents.append([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
    boxes = np.array(extents, np.float32)
    sides = np.tile(boxes[:, 2:] - boxes[:, :2], 2)
    rough = boxes + rng.normal(0, 0.03, boxes.shape).astype(np.float32) * sides
    return torch.from_numpy(rough.reshape(-1, 2, 2)), torch.tensor([[2, 3]]).expand(len(truth), -1)


def follow_clip(network: LearningMemory, features: ClipFeatures, clip: int) -> torch.Tensor:
    """Return J of each object on every frame after the first, (R, CLIP_LENGTH - 1); masks are given on the first."""
    indices = _find_objects(features.ids[clip, 0], share=0.004)
    if not indices:
        return torch.zeros(0, CLIP_LENGTH - 1)
    group = Group([list(range(CLIP_LENGTH))], [clip], [0] * len(indices), indices)
    rng = np.random.default_rng(0)
    levels, truth = group.read_levels(features, 0), group.read_truth(features, 0)
    conditioning = [start_objects(network, 0, levels, truth, "mask", rng).remember(network)]
    past: list[Memory] = []
    overlaps = []
    for position in range(1, CLIP_LENGTH):
        levels, truth = group.read_levels(features, position), group.read_truth(features, position)
        answer = network.propagate(levels, network.recall(levels[2], position, conditioning, past))
        logits = upsample_logits(answer.best_logits[:, None])[:, 0]
        overlaps.append(measure_overlap(logits, answer.presence, truth))
        past.append(remember_answer(network, position, levels, answer, truth, 0.0, rng))
    return torch.stack(overlaps, dim=1)


def train_memory(recipe: Recipe) -> None:
    recipe.out.mkdir(parents=True, exist_ok=True)
    run = MemoryRun(recipe)
    run.resume()
    held_out = None if recipe.held_out is None else ClipFeatures.open(recipe.held_out)

    def look_now_and_then() -> dict[str, float]:
        is_time = run.step % recipe.look_every == 0 or run.step == recipe.steps - 1
        return run.look_at_held_out(held_out) if held_out is not None and is_time else {}

    make_steps(run, recipe, look=look_now_and_then)
    run.export()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder for state, log and checkpoint")
    parser.add_argument("--clips", type=Path, required=True, help="folder that `memory.clips` wrote")
    parser.add_argument("--held-out", type=Path, help="the same, of held-out clips, to look at now and then")
    parser.add_argument("--start", default=Recipe.start, help="checkpoint to go on from (default: tiny)")
    parser.add_argument("--fresh", action="store_true", help="begin from nothing, not from the checkpoint's memory")
    for name in ("seed", "steps", "cooldown_steps"):
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, default=getattr(Recipe, name))
    parser.add_argument("--peak", type=float, default=Recipe.peak, help="share of the recipe's learning rate")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    cv2.setNumThreads(1)
    train_memory(Recipe(**vars(parser.parse_args())))


if __name__ == "__main__":
    main()
