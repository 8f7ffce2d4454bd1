"""What the benchmarks of SAM 3 measure, and on what: the setting, new pictures, phrases."""

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
"""Kept per phrase."""
HEIGHT, WIDTH = 1080, 1920


@dataclass(frozen=True)
class Workload:
    """What is measured, and on what."""

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
    """As in `Sam3.load`; of ours, for whole calls. Parts and operations are those of the network as it is."""

    @property
    def dtype(self) -> torch.dtype:
        """The one the product takes: 16 bits for a network that is worth it."""
        return torch.float32 if self.size == "tiny" and self.device == "cpu" else torch.bfloat16

    @property
    def conditions(self) -> dict[str, Cell]:
        device = describe_device(torch.device(self.device))
        compiled: dict[str, Cell] = {} if self.compile is None else {"compiled": self.compile}
        return {"SAM 3": self.size, "format": str(self.dtype).removeprefix("torch."), "device": device, **compiled}


@cache
def get_scene() -> Scene:
    """1920 x 1080, of the generated world, which the embedded network knows."""
    return draw_scene(HELD_OUT, size=(WIDTH, HEIGHT))


def make_image(number: int) -> Image:
    """The scene, moved by so many pixels: nothing about it is remembered, all of it is still there."""
    return Image(np.roll(get_scene().pixels, number, axis=1))


@cache
def list_phrases() -> list[str]:
    """Different noun phrases that each describe something in the scene."""
    return generate_phrases(get_scene())


def generate_phrases(drawn: Scene) -> list[str]:
    chance = np.random.default_rng(0)
    return list(dict.fromkeys(ask_about_scene(drawn, "positive", chance).phrase for _ in range(2000)))


def choose_threshold(measured: Network, size: str) -> float:
    """The usual one; for random weights, whose scores say nothing, one above which there are about `MASKS` masks."""
    return find_crowded_threshold(measured) if size == FULL else 0.5


@cache
def find_crowded_threshold(measured: Network) -> float:
    """A threshold above which there are about `MASKS` masks for a phrase."""
    found = measured.build_sam3().segment(make_image(0), list_phrases()[0], threshold=0.0)
    return float(found.scores[MASKS])
