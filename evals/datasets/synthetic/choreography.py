"""Clips whose paths are chosen: drawn objects that move over a still background, with exact masks and exact paths."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from sam3_tool.synthetic.nouns import COLOURS
from sam3_tool.synthetic.scenes import SceneObject, Stamp, draw_background

MIN_VISIBLE_AREA = 0.0012
"""Share of the image below which a (mostly hidden) object counts as not there."""
MAX_GRAIN = 6.0


@dataclass(frozen=True, eq=False)
class Actor:
    """An object, and where it is in every frame."""

    stamp: Stamp
    centres: np.ndarray
    """float64, (T, 2): x, y of its centre, as shares of the image; it may be outside."""
    zoom: np.ndarray
    """float64, (T,): its size, 1 as it is drawn."""


@dataclass(frozen=True, eq=False)
class StagedClip:
    """A drawn clip."""

    frames: np.ndarray
    """uint8, (T, H, W, 3), RGB."""
    ids: np.ndarray
    """uint8, (T, H, W): index + 1 of the object whose pixel it is; 0 is background."""
    actors: tuple[Actor, ...]
    """A later one is in front of an earlier one."""

    @property
    def objects(self) -> tuple[SceneObject, ...]:
        """What can be said of each."""
        return tuple(actor.stamp.scene_object for actor in self.actors)

    @cached_property
    def areas(self) -> np.ndarray:
        """int64, (T, N), pixels of each object."""
        places = range(1, len(self.actors) + 1)
        return np.stack([(self.ids == place).sum(axis=(1, 2)) for place in places], axis=1)

    @property
    def seen(self) -> np.ndarray:
        """bool, (T, N): which objects are in which frames."""
        return np.asarray(self.areas > 0)

    @property
    def centres(self) -> np.ndarray:
        """float64, (T, N, 2): the exact path of each, also where it is not seen; x, y as shares of the image."""
        return np.stack([actor.centres for actor in self.actors], axis=1)

    def get_masks(self, index: int) -> np.ndarray:
        """bool, (T, H, W): the visible pixels of one object."""
        return np.asarray(self.ids == index + 1)


def draw_actors(actors: Sequence[Actor], size: tuple[int, int], rng: np.random.Generator) -> StagedClip:
    """Draw a clip. `size`: (width, height) in pixels."""
    width, height = size
    colours = [actor.stamp.scene_object.colour for actor in actors]
    background = draw_background(rng, width, height, avoid=[COLOURS[colour] for colour in colours if colour])
    length = len(actors[0].zoom)
    grain = np.float32(rng.uniform(0, MAX_GRAIN))
    frames = np.empty((length, height, width, 3), np.uint8)
    ids = np.zeros((length, height, width), np.uint8)
    for frame in range(length):
        pixels = background.astype(np.float32)
        for place, actor in enumerate(actors, start=1):
            cut = _place_stamp(actor, frame, size)
            alpha = cut[..., 3:]
            pixels = pixels * (1 - alpha) + cut[..., :3]
            ids[frame][cut[..., 3] > 0.5] = place
        frames[frame] = np.clip(pixels + grain * rng.standard_normal(pixels.shape, dtype=np.float32), 0, 255)
    return StagedClip(frames, _drop_traces(ids, len(actors)), tuple(actors))


def _place_stamp(actor: Actor, frame: int, size: tuple[int, int]) -> np.ndarray:
    """float32, (H, W, 4): the object alone, its colours multiplied by its opacity."""
    alpha = actor.stamp.alpha
    own = np.dstack([actor.stamp.colour.astype(np.float32) * alpha[..., None], alpha])
    zoom = float(actor.zoom[frame])
    x, y = actor.centres[frame] * size
    matrix = np.array([[zoom, 0, x - zoom * alpha.shape[1] / 2], [0, zoom, y - zoom * alpha.shape[0] / 2]])
    return cv2.warpAffine(own, matrix, size, flags=cv2.INTER_LINEAR)


def _drop_traces(ids: np.ndarray, number: int) -> np.ndarray:
    """The ids without objects of which too little is seen in a frame."""
    least = MIN_VISIBLE_AREA * ids[0].size
    for frame in ids:
        areas = np.bincount(frame.ravel(), minlength=number + 1)
        frame[np.isin(frame, np.flatnonzero(areas < least))] = 0
    return ids
