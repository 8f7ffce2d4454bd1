"""Generated clips: the scenes' objects move, turn, hide behind each other, leave and come back, with exact masks.

`draw_clip(seed)` is a pure function, as `draw_scene` is.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from sam3_tool.synthetic.nouns import COLOURS
from sam3_tool.synthetic.scenes import MAX_TILT, SceneObject, Stamp, choose_kinds, draw_background, draw_object

CLIP_SIZES = ((192, 144), (208, 156), (192, 192), (256, 192), (256, 256), (320, 240))
"""(width, height) in pixels."""
CLIP_LENGTHS = (12, 24)
"""Fewest and most frames of a clip whose length the seed chooses."""
MAX_CLIP_OBJECTS = 7
MIN_SEEN_AREA = 0.0012
"""Share of the frame below which a (mostly hidden) object does not count as being there."""
MARGIN = 0.35
"""How far the background reaches beyond the frame on each side, as a share of it: as far as the camera can pan."""
_STREAM = 7
"""Keeps the random numbers of clips apart from those of the scenes of the same seeds."""


@dataclass(frozen=True, eq=False)
class Clip:
    frames: np.ndarray
    """uint8, (T, height, width, 3), RGB."""
    ids: np.ndarray
    """uint8, (T, height, width): index + 1 of the object whose pixel it is; 0 is background."""
    objects: tuple[SceneObject, ...]

    def find_masks(self, index: int) -> np.ndarray:
        """Return bool, (T, height, width): the visible pixels of one object."""
        return np.asarray(self.ids == index + 1)


@dataclass(frozen=True, eq=False)
class _Actor:
    """An object and what it does, frame by frame."""

    stamp: Stamp
    path: np.ndarray
    """float64, (T, 2): its centre, as shares of width and height."""
    zoom: np.ndarray
    """float64, (T,), at most 1."""
    turn: np.ndarray
    """float64, (T,): degrees."""


@dataclass(frozen=True, eq=False)
class _Post:
    """Something in front of everything that no word names."""

    column: int
    texture: np.ndarray
    """uint8, (height, post's width, 3)."""


def draw_clip(seed: int, *, length: int | None = None, size: tuple[int, int] | None = None, fast: bool = False) -> Clip:
    """Draw the clip of this seed.

    Args:
        seed: Training draws seeds below `scenes.HELD_OUT`; held-out clips have seeds from there on.
        length: Number of frames; the seed chooses it if it is left out.
        size: (width, height) in pixels; the seed chooses it if it is left out.
        fast: Whether objects may move up to twice as far from frame to frame.
    """
    rng = np.random.default_rng((seed, _STREAM))
    width, height = size or CLIP_SIZES[rng.integers(len(CLIP_SIZES))]
    count = length or int(rng.integers(CLIP_LENGTHS[0], CLIP_LENGTHS[1] + 1))
    kinds = choose_kinds(rng, shapes_only=False)
    avoid = [COLOURS[colour] for _, colour in kinds if colour]
    actor_count = int(rng.integers(2, MAX_CLIP_OBJECTS + 1))
    wide, high = int(width * (1 + 2 * MARGIN)), int(height * (1 + 2 * MARGIN))
    background = draw_background(rng, wide, high, avoid=avoid)
    pan = _draw_pan(rng, count)
    scale = float(np.sqrt(width * height))
    actors = [
        _draw_actor(rng, draw_object(rng, kinds[rng.integers(len(kinds))], scale, rng.random() < 0.2), pan, fast)
        for _ in range(actor_count)
    ]
    orders = _draw_depth_orders(rng, count, actor_count)
    light = 1 + rng.uniform(0, 0.1) * np.sin(np.arange(count) * rng.uniform(0.1, 0.6) + rng.uniform(0, 6))
    post = _draw_post(rng, width, height, avoid) if rng.random() < 0.22 else None
    grain = rng.uniform(1, 7) * (rng.random() < 0.6)
    frames, ids = np.zeros((count, height, width, 3), np.uint8), np.zeros((count, height, width), np.uint8)
    for t in range(count):
        pixels = _crop_background(background, pan[t], width, height)
        for index in orders[t]:
            _paste_actor(pixels, ids[t], actors[index], t, index + 1)
        if post is not None:
            _paste_post(pixels, ids[t], post, int(post.column - pan[t, 0] * width))
        noise = rng.standard_normal(pixels.shape, dtype=np.float32) * np.float32(grain)
        frames[t] = np.clip(pixels * np.float32(light[t]) + noise, 0, 255)
        _drop_slivers(ids[t], actor_count)
    return Clip(frames, ids, tuple(actor.stamp.scene_object for actor in actors))


def _draw_pan(rng: np.random.Generator, count: int) -> np.ndarray:
    """Return float64, (count, 2): where the camera looks, as shares of the frame; still in half of the clips."""
    pan = np.zeros((count, 2))
    if rng.random() < 0.45:
        tremble = rng.normal(0, 0.002 * (rng.random() < 0.5), (count, 2))
        pan = np.cumsum(rng.uniform(-0.012, 0.012, 2) + tremble, axis=0)
    return np.clip(pan, 0.02 - MARGIN, MARGIN - 0.02)


def _draw_depth_orders(rng: np.random.Generator, count: int, actors: int) -> np.ndarray:
    """Return int64, (count, actors): who is drawn first; at times they change places halfway."""
    orders = np.tile(rng.permutation(actors), (count, 1))
    if rng.random() < 0.15:
        orders[count // 2 :] = rng.permutation(actors)
    return orders


# --- what objects do -------------------------------------------------------------------------------------------------


def _draw_actor(rng: np.random.Generator, stamp: Stamp, pan: np.ndarray, fast: bool) -> _Actor:
    count = len(pan)
    path = _draw_path(rng, count, enters=rng.random() < 0.18, fast=fast) - pan
    t = np.arange(count)
    zoom = np.exp(rng.normal(0, 0.012) * t + rng.uniform(0, 0.08) * np.sin(t * rng.uniform(0.1, 0.5)))
    if MAX_TILT.get(stamp.scene_object.noun) == 180:  # what may stand at any angle may also spin
        turn = rng.normal(0, 3.0) * t
    else:
        turn = rng.uniform(-9, 9) * np.sin(t * rng.uniform(0.05, 0.4) + rng.uniform(0, 6))
    return _Actor(stamp, path, np.clip(zoom / zoom.max(), 0.45, 1.0), turn)


def _draw_path(rng: np.random.Generator, count: int, *, enters: bool, fast: bool) -> np.ndarray:
    """Return float64, (count, 2): a centre that rests or moves, straight or in a curve, perhaps in and out of sight."""
    angle, start = rng.uniform(0, 2 * np.pi), rng.uniform(0.12, 0.88, 2)
    speed = rng.choice([0.0, rng.uniform(0.004, 0.012), rng.uniform(0.012, 0.06 if fast else 0.03)], p=[0.2, 0.4, 0.4])
    velocity = speed * np.array([np.cos(angle), np.sin(angle) * 0.8])
    if enters:
        sides = ((-0.15, start[1]), (1.15, start[1]), (start[0], -0.15), (start[0], 1.15))
        start = np.array(sides[rng.integers(4)])
        velocity = (rng.uniform(0.2, 0.8, 2) - start) / rng.uniform(0.4 * count, 1.2 * count)
    t = np.arange(count)[:, None]
    path = start + t * velocity
    if rng.random() < 0.5:
        reach, pace = rng.uniform(0.01, 0.08, 2), 2 * np.pi * rng.uniform(0.3, 1.5) / count
        phase = rng.uniform(0, 2 * np.pi, 2)
        path = path + reach * (np.sin(pace * t + phase) - np.sin(phase))
    if rng.random() < 0.35:  # slows down, stops or turns round
        change = int(rng.integers(count // 4, 3 * count // 4 + 1))
        path[change:] = path[change] + (path[change:] - path[change]) * rng.uniform(-0.2, 0.4)
    return _reflect_path(path, -0.22, 1.22)  # well outside, so that things leave and come back


def _reflect_path(path: np.ndarray, low: float, high: float) -> np.ndarray:
    """Let the path bounce between two walls in both coordinates."""
    folded = low + (path - low) % (2 * (high - low))
    return np.where(folded > high, 2 * high - folded, folded)


# --- drawing ---------------------------------------------------------------------------------------------------------


def _draw_post(rng: np.random.Generator, width: int, height: int, avoid: list[tuple[int, int, int]]) -> _Post:
    post_width = int(rng.uniform(0.06, 0.16) * width)
    return _Post(int(rng.uniform(0.15, 0.8) * width), draw_background(rng, post_width, height, avoid=avoid))


def _crop_background(background: np.ndarray, pan: np.ndarray, width: int, height: int) -> np.ndarray:
    """Return float32, (height, width, 3): what the camera sees of it."""
    left, top = (pan + MARGIN) * (width, height)
    shift = np.array([[1, 0, -left], [0, 1, -top]], np.float32)
    view = cv2.warpAffine(background, shift, (width, height), borderMode=cv2.BORDER_REFLECT)
    return np.asarray(view, np.float32)


def _paste_actor(pixels: np.ndarray, ids: np.ndarray, actor: _Actor, t: int, object_id: int) -> None:
    """Draw the actor at frame `t` into `pixels` and write its number into `ids`."""
    height, width = ids.shape
    h, w = actor.stamp.alpha.shape
    x, y = actor.path[t] * (width, height)
    reach = 0.72 * max(w, h) * actor.zoom[t] + 2  # half a diagonal, so that it fits at every angle
    x0, y0 = max(0, int(x - reach)), max(0, int(y - reach))
    x1, y1 = min(width, int(x + reach + 1)), min(height, int(y + reach + 1))
    if x1 <= x0 or y1 <= y0:
        return
    place = cv2.getRotationMatrix2D((w / 2, h / 2), actor.turn[t], actor.zoom[t])
    place[0, 2] += x - w / 2 - x0
    place[1, 2] += y - h / 2 - y0
    alpha = actor.stamp.alpha[..., None]
    # premultiplied, so that the warp mixes no colour from outside
    drawing = np.dstack([actor.stamp.colour.astype(np.float32) * alpha, alpha])
    cut = cv2.warpAffine(drawing, place, (x1 - x0, y1 - y0), flags=cv2.INTER_LINEAR)
    region = pixels[y0:y1, x0:x1]
    region[:] = region * (1 - cut[..., 3:]) + cut[..., :3]
    ids[y0:y1, x0:x1][cut[..., 3] > 0.5] = object_id


def _paste_post(pixels: np.ndarray, ids: np.ndarray, post: _Post, column: int) -> None:
    """Draw the post over everything, and nobody's into `ids`."""
    left, right = max(0, column), min(pixels.shape[1], column + post.texture.shape[1])
    if right > left:
        pixels[:, left:right] = post.texture[:, left - column : right - column]
        ids[:, left:right] = 0


def _drop_slivers(ids: np.ndarray, count: int) -> None:
    """Count what is hidden but for a sliver as not there."""
    areas = np.bincount(ids.ravel(), minlength=count + 1)
    slivers = np.flatnonzero(areas < MIN_SEEN_AREA * ids.size)
    ids[np.isin(ids, slivers[slivers > 0])] = 0
