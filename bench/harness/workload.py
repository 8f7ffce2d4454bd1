"""The workload of the benchmarks of SAM 3: the settings, new images, phrases."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch

from bench.harness.machine import describe_device
from bench.harness.networks import FULL, Network
from bench.harness.tables import Cell
from sam3_tool import Image
from sam3_tool.synthetic.phrases import ask_about_scene
from sam3_tool.synthetic.scenes import HELD_OUT, Scene, draw_scene

MASKS = 10
"""Masks that a phrase finds, about."""
HEIGHT, WIDTH = 1080, 1920


@dataclass(frozen=True)
class Workload:
    """The settings of a benchmark of SAM 3."""

    size: str = "tiny"
    """'tiny', 'full', or what else `Sam3.load` takes."""
    device: str = "cpu"
    threads: int = 1
    rounds: int = 5
    phrases: Sequence[int] = (1, 2, 4, 8, 16)
    images: Sequence[int] = (1, 4, 16)
    against: Sequence[str] = ("published", "transformers")
    tables: Sequence[str] = ()
    compile: str | None = None
    """As in `Sam3.load`, for our whole calls. Parts and operations are those of the network that is not compiled."""

    @property
    def dtype(self) -> torch.dtype:
        """The format that the product chooses: 16 bits for the large network."""
        return torch.float32 if self.size == "tiny" and self.device == "cpu" else torch.bfloat16

    @property
    def conditions(self) -> dict[str, Cell]:
        """What a reader of a table has to know."""
        device = describe_device(torch.device(self.device))
        compiled: dict[str, Cell] = {} if self.compile is None else {"compiled": self.compile}
        return {"SAM 3": self.size, "format": str(self.dtype).removeprefix("torch."), "device": device, **compiled}


@cache
def get_scene() -> Scene:
    """Return a scene of 1920 x 1080 pixels of the generated world, which the embedded network knows."""
    return draw_scene(HELD_OUT, size=(WIDTH, HEIGHT))


def make_image(number: int) -> Image:
    """Return the scene, moved by so many pixels: no cache knows it, and all of its objects are there."""
    return Image(np.roll(get_scene().pixels, number, axis=1))


@cache
def list_phrases() -> list[str]:
    """Return different noun phrases that each describe something in the scene."""
    return generate_phrases(get_scene())


def generate_phrases(scene: Scene) -> list[str]:
    """Return different noun phrases that each describe something in this scene."""
    rng = np.random.default_rng(0)
    return list(dict.fromkeys(ask_about_scene(scene, "positive", rng).phrase for _ in range(2000)))


def choose_threshold(measured: Network, size: str) -> float:
    """Return the usual threshold; for random weights, whose scores mean nothing, one that keeps about `MASKS` masks."""
    return find_crowded_threshold(measured) if size == FULL else 0.5


@cache
def find_crowded_threshold(measured: Network) -> float:
    """Return a threshold that keeps about `MASKS` masks for a phrase."""
    found = measured.build_sam3().segment(make_image(0), list_phrases()[0], threshold=0.0)
    return float(found.scores[MASKS])
