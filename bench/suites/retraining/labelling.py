"""Three kinds of labels of the same pairs: the truth, pseudo-labels, and what the data engine makes of them."""

from collections.abc import Sequence
from functools import partial
from itertools import islice
from typing import Literal

import numpy as np

from bench.suites.retraining.proposals import ProposedPair, draw_shifted_scene, to_masks
from bench.suites.retraining.reviewing import label_by_engine
from sam3_tool.training.finetuning.labels import LabelledImage, LabelledPair

Arm = Literal["truth", "pseudo", "engine"]
ARMS: tuple[Arm, ...] = ("truth", "pseudo", "engine")
Scenes = Sequence[Sequence[ProposedPair]]
"""Pairs by scene."""


def label_scenes(scenes: Scenes, arm: Arm, *, reviewed: float, seed: int = 0) -> list[LabelledImage]:
    """Label all pairs of shifted scenes.

    Args:
        scenes: Their pairs, by scene.
        arm: "truth"; "pseudo": the offered masks as they are, where what was not found counts as not there; or
            "engine".
        reviewed: For "engine", the share of the pairs that a person sees.
        seed: For "engine", of the random sample and of the person's errors.
    """
    pairs = [pair for scene in scenes for pair in scene]
    match arm:
        case "truth":
            labels = [LabelledPair(pair.phrase, to_masks(pair.truth)) for pair in pairs]
        case "pseudo":
            labels = [LabelledPair(pair.phrase, pair.proposal.masks) for pair in pairs]
        case "engine":
            labels = [*label_by_engine(scenes, reviewed=reviewed, seed=seed).labels]
    given = iter(labels)
    return [
        LabelledImage(partial(_load_pixels, number), tuple(islice(given, len(scene))))
        for number, scene in enumerate(scenes)
    ]


def _load_pixels(number: int) -> np.ndarray:
    return draw_shifted_scene(number).pixels
