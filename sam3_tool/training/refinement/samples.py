"""Windows around masks that the refiner was asked about, and the exact masks in them."""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch

from sam3_tool.backends.transformers.video.refinement import (
    MaskRefiner,
    View,
    cut_windows,
    enlarge_masks,
    find_windows,
    read_windows,
    shrink_masks,
    to_shares,
)
from sam3_tool.training.refinement.tracks import draw_training_clip, read_owners, read_squares

ROWS_PER_FRAME = 4
STEPS = (1, 1, 1, 2, -1)
"""How many frames before this one the earlier one may be."""
SECOND_PASS = 0.2
"""Share of the masks that are as after a pass."""
_SHIFT, _GROWTH = 0.06, (0.9, 1.2)
"""How far a window may lie beside where it should, and by what it may be larger."""
_COLORS = slice(0, 3), slice(5, 8)
"""Channels of the frame's colours and of the earlier frame's."""


@dataclass(frozen=True, eq=False)
class ClipTracks:
    """One clip, and what the refiner was asked in it; see `tracks.list_rows`."""

    squares: torch.Tensor
    """uint8, (T, 3, SQUARE_SIDE, SQUARE_SIDE)."""
    owners: np.ndarray
    """uint8, (T, SQUARE_SIDE, SQUARE_SIDE)."""
    rows: dict[str, np.ndarray]

    @classmethod
    def read(cls, path: Path) -> "ClipTracks":
        clip = draw_training_clip(int(path.stem))
        with np.load(path) as rows:
            return cls(read_squares(clip), read_owners(clip), dict(rows))

    def find_truth(self, row: int, frame: int | None = None) -> np.ndarray:
        """Return bool, (SQUARE_SIDE, SQUARE_SIDE): the row's object, on its frame or on another one."""
        place = int(self.rows["frames"][row]) if frame is None else frame
        return np.asarray(self.owners[place] == self.rows["objects"][row] + 1)

    def get_logits(self, row: int) -> torch.Tensor:
        """Return float32, (64, 64)."""
        return torch.from_numpy(self.rows["logits"][row]).float()

    def find_row(self, row: int, frame: int) -> int | None:
        """Return the row of the same object on another frame."""
        same = (self.rows["objects"] == self.rows["objects"][row]) & (self.rows["frames"] == frame)
        found = np.flatnonzero(same)
        return int(found[0]) if len(found) else None


def read_folder(folder: Path) -> list[ClipTracks]:
    return [ClipTracks.read(path) for path in sorted(folder.glob("[0-9]*.npz"))]


def draw_windows(
    clips: list[ClipTracks], count: int, rng: np.random.Generator, refiner: MaskRefiner
) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw what the network reads, (N, INPUT_CHANNELS, side, side), and what it shall say, in [0, 1], (N, side, side).

    `count`: N is this, or a few more. `refiner`: draws frames before, in evaluation mode.
    """
    drawn: list[tuple[torch.Tensor, torch.Tensor]] = []
    while sum(len(truth) for _, truth in drawn) < count:
        clip = clips[rng.integers(len(clips))]
        frame = int(rng.choice(clip.rows["frames"]))
        rows = rng.permutation(np.flatnonzero(clip.rows["frames"] == frame))[:ROWS_PER_FRAME]
        drawn.append(read_rows(clip, rows, rng, refiner))
    read, truth = (torch.cat(parts) for parts in zip(*drawn, strict=True))
    if rng.random() < 0.5:
        read, truth = read.flip(-1), truth.flip(-1)
    return _change_light(read, rng), truth


def read_rows(
    clip: ClipTracks, rows: np.ndarray, rng: np.random.Generator, refiner: MaskRefiner
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return windows and truth of rows that are of one frame."""
    truths = [clip.find_truth(row) for row in rows]
    logits = torch.stack(
        [_choose_logits(clip.get_logits(row), truth, rng) for row, truth in zip(rows, truths, strict=True)]
    )
    windows = _shift_windows(find_windows(logits), rng)
    truth = torch.from_numpy(np.stack(truths)).float()
    frame = int(clip.rows["frames"][rows[0]])
    views = [draw_view(clip, row, frame - int(rng.choice(STEPS)), rng, refiner) for row in rows]
    return read_windows(clip.squares[frame], logits, windows, views), cut_windows(truth[:, None], windows)[:, 0]


def draw_view(
    clip: ClipTracks, row: int, frame: int, rng: np.random.Generator, refiner: MaskRefiner | None
) -> View | None:
    """Draw what is known of a row's object on another frame.

    It is the truth, a little spoilt; or what the refiner makes of the decoder's mask there, which saw the truth of a
    frame before that or nothing; or the decoder's mask; or nothing.
    """
    kind = rng.random()
    if kind < 0.15 or not 0 <= frame < len(clip.squares):
        return None
    there = clip.find_row(row, frame)
    if kind < 0.45 or there is None:
        return View(clip.squares[frame], spoil_mask(clip.find_truth(row, frame), rng))
    logits = clip.get_logits(there)[None]
    if kind < 0.6 or refiner is None:
        return View(clip.squares[frame], to_shares(enlarge_masks(logits)[0]))
    step = frame - int(clip.rows["frames"][row])
    before = draw_view(clip, there, frame + step, rng, None)
    with torch.no_grad():
        return View(clip.squares[frame], to_shares(refiner.refine(clip.squares[frame], logits, [before])[0]))


def _choose_logits(first: torch.Tensor, truth: np.ndarray, rng: np.random.Generator) -> torch.Tensor:
    """Return what the decoder drew, (64, 64), or at times what the mask may look like after a pass."""
    spoilt = spoil_mask(truth, rng).float() / 255
    second = shrink_masks(spoilt.logit(eps=1e-4)[None], len(first))[0]
    return second if rng.random() < SECOND_PASS and bool((second > 0).any()) else first


def spoil_mask(mask: np.ndarray, rng: np.random.Generator) -> torch.Tensor:
    """Return uint8, (SQUARE_SIDE, SQUARE_SIDE), in 255ths: blurred, a little too large or too small."""
    blurred = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), float(rng.uniform(0.5, 3)))
    moved = blurred + rng.uniform(-0.25, 0.25) * mask
    shares = np.clip((moved - 0.5) * rng.uniform(2, 8) + 0.5, 0, 1)
    return torch.from_numpy(np.round(255 * shares).astype(np.uint8))


def _shift_windows(windows: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Move windows, int64 (K, 4), and make them a little larger or smaller."""
    boxes = windows.numpy().astype(float)
    sides = (boxes[:, 2:] - boxes[:, :2]) * rng.uniform(*_GROWTH, (len(boxes), 1))
    middles = (boxes[:, 2:] + boxes[:, :2]) / 2 + sides * rng.uniform(-_SHIFT, _SHIFT, (len(boxes), 2))
    corners = np.round(middles - sides / 2)
    return torch.from_numpy(np.concatenate([corners, corners + np.round(sides)], axis=1)).long()


def _change_light(read: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Change brightness and contrast of both frames alike."""
    gain, shift = (
        torch.from_numpy(values.astype(np.float32))
        for values in (rng.uniform(0.8, 1.2, (len(read), 1, 1, 1)), rng.normal(0, 0.05, (len(read), 3, 1, 1)))
    )
    has_past = (read[:, _COLORS[1]].flatten(1).abs().amax(dim=1) > 0)[:, None, None, None]
    changed = read.clone()
    changed[:, _COLORS[0]] = read[:, _COLORS[0]] * gain + shift
    changed[:, _COLORS[1]] = read[:, _COLORS[1]] * gain + shift * has_past
    return changed
