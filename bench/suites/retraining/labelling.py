"""Three kinds of labels of the same pairs: the truth, pseudo-labels, and what the data engine makes of them."""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from bench.suites.retraining.proposals import ProposedPair, draw_shifted_scene, to_masks
from sam3_tool.training.finetuning.labels import LabelledImage, LabelledPair

Labeller = Callable[[ProposedPair], LabelledPair]


def label_truly(pair: ProposedPair) -> LabelledPair:
    """Label a pair by its truth, as tireless people without errors would."""
    return LabelledPair(pair.phrase, to_masks(pair.truth))


def label_blindly(pair: ProposedPair) -> LabelledPair:
    """Label a pair by the offered masks as they are: what was not found counts as not there."""
    return LabelledPair(pair.phrase, pair.proposal.masks)


def label_images(proposed: Sequence[Sequence[ProposedPair]], label_pair: Labeller) -> list[LabelledImage]:
    """Label all pairs of the scenes, in order."""
    return [
        LabelledImage(partial(_load_pixels, number), tuple(label_pair(pair) for pair in pairs))
        for number, pairs in enumerate(proposed)
    ]


def _load_pixels(number: int) -> np.ndarray:
    return draw_shifted_scene(number).pixels
