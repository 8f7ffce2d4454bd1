"""Finer outlines in videos, for a network that sees few pixels: masks are drawn once more, from the frame itself.

The embedded network sees frames of 128 x 128 pixels and draws 64 x 64 cells. A small U-Net (Ronneberger et al., 2015)
reads a window around each mask of a frame of 256 x 256 pixels, and what was drawn of the object on the frame before.
Published weights have no file for this, and their masks stay as they are.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional
from torchvision.ops import roi_align

SQUARE_SIDE = 256
"""Pixels per side of the frame that is read, and of the masks that are drawn."""
WINDOW_SIDE = 64
"""Pixels per side of the window that the network reads around an object, however large that is."""
INPUT_CHANNELS = 9
"""The frame's colours, the mask as logits and as a share, the earlier frame's colours and mask."""
MIN_WINDOW = 24
"""Pixels of the square per side of a window, at least."""
PASSES = 2
"""How often each mask is drawn; the second time starts from the first."""
MAX_GAP = 2
"""How many frames back a view of an object still tells something."""
NO_SQUARE = torch.empty(3, 0, 0, dtype=torch.uint8)
"""Stands for a frame that no refiner reads."""
_LOGIT_LIMIT = 10.0


class View(NamedTuple):
    """An object on one frame."""

    pixels: torch.Tensor
    """uint8, (3, SQUARE_SIDE, SQUARE_SIDE); all objects of the frame share it."""
    mask: torch.Tensor
    """uint8, (SQUARE_SIDE, SQUARE_SIDE): how likely each pixel is the object's, in 255ths."""

    @property
    def nbytes(self) -> int:
        return self.pixels.nbytes + self.mask.nbytes


class MaskRefiner(nn.Module):
    """A U-Net of pairs of 3 x 3 convolutions. `widths`: channels of its levels, finest first."""

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        inputs = (INPUT_CHANNELS, *widths)
        self.down = nn.ModuleList(build_pair(before, after) for before, after in zip(inputs, widths, strict=False))
        pairs = reversed(list(pairwise(widths)))
        self.up = nn.ModuleList(build_pair(fine + coarse, fine) for fine, coarse in pairs)
        self.output = nn.Conv2d(widths[0], 1, 1)

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        """Return logits (K, WINDOW_SIDE, WINDOW_SIDE) of what `read_windows` returns."""
        levels: list[torch.Tensor] = []
        state = windows
        for pair in self.down:
            state = pair(functional.avg_pool2d(state, 2) if levels else state)
            levels.append(state)
        for pair, finer in zip(self.up, reversed(levels[:-1]), strict=True):
            state = pair(torch.cat([functional.interpolate(state, scale_factor=2, mode="nearest"), finer], dim=1))
        change: torch.Tensor = self.output(state)
        return change[:, 0] + windows[:, 3] * _LOGIT_LIMIT

    def refine(self, pixels: torch.Tensor, logits: torch.Tensor, earlier: Sequence[View | None]) -> torch.Tensor:
        """Draw the masks of K objects of a frame once more.

        Args:
            pixels: uint8, (3, SQUARE_SIDE, SQUARE_SIDE): the frame.
            logits: float32, (K, h, w): their masks.
            earlier: Of each object what was drawn last, or None where that tells nothing.

        Returns:
            float32, (K, SQUARE_SIDE, SQUARE_SIDE), logits. A mask without a pixel stays empty.
        """
        fine = self._draw(pixels, logits, earlier)
        for _ in range(PASSES - 1):
            fine = self._draw(pixels, shrink_masks(fine, logits.shape[-1]), earlier)
        return fine

    def _draw(self, pixels: torch.Tensor, logits: torch.Tensor, earlier: Sequence[View | None]) -> torch.Tensor:
        fine = enlarge_masks(logits)
        rows = torch.nonzero((logits > 0).flatten(1).any(dim=1))[:, 0].tolist()
        if not rows:
            return fine
        windows = find_windows(logits[rows])
        read = read_windows(pixels, logits[rows], windows, [earlier[row] for row in rows])
        drawn = self(read.contiguous(memory_format=torch.channels_last))
        for row, window, single in zip(rows, windows.tolist(), drawn, strict=True):
            fine[row] = place_window(single, window)
        return fine


def enlarge_masks(logits: torch.Tensor) -> torch.Tensor:
    """Give masks (K, h, w) the size of refined ones, as they are."""
    if not len(logits):
        return logits
    return functional.interpolate(logits[:, None].float(), (SQUARE_SIDE, SQUARE_SIDE), mode="bilinear")[:, 0]


def shrink_masks(logits: torch.Tensor, side: int) -> torch.Tensor:
    """Return logits (K, side, side) of the share of each cell that masks (K, SQUARE_SIDE, SQUARE_SIDE) cover."""
    shares = functional.interpolate(logits.sigmoid()[:, None], (side, side), mode="bilinear", antialias=True)[:, 0]
    return shares.logit(eps=1e-4)


def build_pair(before: int, after: int) -> nn.Sequential:
    """Return two 3 x 3 convolutions with a ReLU after each."""
    return nn.Sequential(
        nn.Conv2d(before, after, 3, padding=1), nn.ReLU(), nn.Conv2d(after, after, 3, padding=1), nn.ReLU()
    )


def find_windows(logits: torch.Tensor) -> torch.Tensor:
    """Return square windows around the masks of K objects, none of them empty, two fifths wider than they.

    Args:
        logits: (K, h, w).

    Returns:
        int64, (K, 4): left, top, right, bottom in pixels of the square. They may reach beyond it.
    """
    inside = logits > 0
    scale = SQUARE_SIDE / logits.shape[-1]
    spans = [_find_span(inside.any(dim=dim)) * scale for dim in (1, 2)]  # of columns and of rows, (K, 2) each
    middles = torch.stack([span.mean(dim=1) for span in spans], dim=1)
    longest = torch.stack([span[:, 1] - span[:, 0] for span in spans], dim=1).amax(dim=1)
    sides = (1.4 * longest + 8).round().clamp(min=MIN_WINDOW)[:, None]
    corners = (middles - sides / 2).round()
    return torch.cat([corners, corners + sides], dim=1).long()


def _find_span(lines: torch.Tensor) -> torch.Tensor:
    """Return float32, (K, 2): the first line that is set, and the end of the last one. `lines`: bool, (K, n)."""
    numbers = lines.int()
    first, last = numbers.argmax(dim=1), lines.shape[1] - numbers.flip(1).argmax(dim=1)
    return torch.stack([first, last], dim=1).float()


def read_windows(
    pixels: torch.Tensor, logits: torch.Tensor, windows: torch.Tensor, earlier: Sequence[View | None]
) -> torch.Tensor:
    """Return what the network reads of K objects, float32, (K, INPUT_CHANNELS, WINDOW_SIDE, WINDOW_SIDE).

    Arguments are those of `MaskRefiner.refine` and what `find_windows` returns.
    """
    masks = torch.stack([logits.clamp(-_LOGIT_LIMIT, _LOGIT_LIMIT) / _LOGIT_LIMIT, logits.sigmoid()], dim=1)
    frame = cut_windows(scale_colors(pixels).expand(len(logits), -1, -1, -1), windows)
    return torch.cat([frame, cut_windows(masks, windows, samples=1), _read_earlier(windows, earlier)], dim=1)


def _read_earlier(windows: torch.Tensor, earlier: Sequence[View | None]) -> torch.Tensor:
    """Return earlier colours and masks in these windows, zeros where there are none."""
    read = torch.zeros(len(windows), 4, WINDOW_SIDE, WINDOW_SIDE, device=windows.device)
    for row, view in enumerate(earlier):
        if view is not None:
            seen = torch.cat([scale_colors(view.pixels), view.mask[None, None].float() / 255], dim=1)
            read[row] = cut_windows(seen, windows[row : row + 1])[0]
    return read


def to_shares(logits: torch.Tensor) -> torch.Tensor:
    """Return how likely each pixel is the object's, in 255ths, as a `View` has it."""
    return (logits.sigmoid() * 255).round().to(torch.uint8)


def scale_colors(pixels: torch.Tensor) -> torch.Tensor:
    """Return float32, (1, 3, h, w), in [-0.5, 0.5], so that what lies beyond the frame is grey."""
    return pixels[None].float() / 255 - 0.5


def cut_windows(maps: torch.Tensor, windows: torch.Tensor, *, samples: int = -1) -> torch.Tensor:
    """Cut a window out of each of K maps (K, C, h, w), which cover the square: (K, C, WINDOW_SIDE, WINDOW_SIDE).

    `samples`: per side of an output's pixel; -1 is as many as there are pixels under it.
    """
    rows = torch.arange(len(maps), device=maps.device)[:, None]
    places = torch.cat([rows, windows * (maps.shape[-1] / SQUARE_SIDE)], dim=1)
    cut: torch.Tensor = roi_align(maps, places, WINDOW_SIDE, sampling_ratio=samples, aligned=True)
    return cut


def place_window(logits: torch.Tensor, window: Sequence[int]) -> torch.Tensor:
    """Put a window of logits at its place in an empty square, (SQUARE_SIDE, SQUARE_SIDE)."""
    left, top, right, bottom = window
    side = right - left
    scaled = functional.interpolate(logits[None, None], (side, side), mode="bilinear", antialias=side < WINDOW_SIDE)
    square = torch.full((SQUARE_SIDE, SQUARE_SIDE), -_LOGIT_LIMIT, device=logits.device)
    x0, y0, x1, y1 = max(0, left), max(0, top), min(SQUARE_SIDE, right), min(SQUARE_SIDE, bottom)
    square[y0:y1, x0:x1] = scaled[0, 0, y0 - top : y1 - top, x0 - left : x1 - left]
    return square
