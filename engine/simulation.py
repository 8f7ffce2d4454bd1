"""A project with known truth: generated scenes, proposals of SAM 3, and simulated reviewers who slip.

Nothing here is a person. Reviewers answer wrongly at fixed rates and correct without a slip; their seconds are those
that the SAM 3 paper (appendix, human time a pair) gives for whole tasks.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np

from engine.pairs import Pair, Proposal, Stage
from engine.proposing import propose_masks
from engine.verifiers.inputs import add_signals, list_mask_signals, list_pair_signals
from engine.verifiers.labels import ACCEPTED_IOU, LabelledItem
from engine.verifiers.measuring import COVERED_IOU
from sam3_tool import Image, Sam3
from sam3_tool.masks.rle import RleMask, compute_ious, encode_masks
from sam3_tool.synthetic.nouns import HYPERNYMS, NOUNS
from sam3_tool.synthetic.scenes import HELD_OUT, Scene, draw_scene

NegativeKind = Literal["any", "siblings"]
FIRST_SCENE = HELD_OUT + 7 * 10**10
SCENES_PER_SEED = 10**6
SCENE_SIZE = (320, 240)
"""Width and height in pixels."""
NEGATIVES = 6
"""Phrases of each scene that name nothing in it."""
MASK_ERROR, COVERAGE_ERROR = 0.05, 0.08
"""Of a reviewer's answers about single masks, and about coverage, that are wrong."""
LOOK_SECONDS, CORRECT_SECONDS = 6.0, 152.0
"""A look at a pair that is right, and the correction of one that is not."""
SCRATCH_POSITIVE_SECONDS, SCRATCH_NEGATIVE_SECONDS = 236.0, 71.0
"""A pair by hand from nothing, with and without an instance."""
_EVERYTHING = frozenset({"object", "thing"})
"""Hypernyms of all nouns, whose nouns have no more in common than any."""


@dataclass(frozen=True, eq=False)
class SimulatedPair:
    """A pair of a generated scene, with what SAM 3 proposes and what is true."""

    scene: int
    pair: Pair
    proposal: Proposal
    truth: tuple[RleMask, ...]
    """Every instance; none for a negative."""

    @cached_property
    def _ious(self) -> np.ndarray:
        return compute_ious(self.proposal.masks, self.truth)

    @cached_property
    def right_masks(self) -> tuple[bool, ...]:
        """For each offered mask, whether a careful reviewer accepts it."""
        return tuple(bool(row.max(initial=0) >= ACCEPTED_IOU) for row in self._ious)

    @cached_property
    def is_covered(self) -> bool:
        """Whether every instance has a mask."""
        return bool((self._ious.max(axis=0, initial=0) >= COVERED_IOU).all())

    @property
    def is_right(self) -> bool:
        """Whether the proposal can be the label as it is."""
        return self.is_covered and all(self.right_masks)


def draw_project(
    sam3: Sam3, seed: int, *, scenes: int, negatives: NegativeKind = "siblings"
) -> Iterator[SimulatedPair]:
    """Draw scenes, ask SAM 3 for every noun in each and for some that are not there, and measure its signals.

    Args:
        sam3: The segmenter.
        seed: Other seeds draw other scenes.
        scenes: How many.
        negatives: "siblings" are nouns of the same family as one in the scene, "any" are any nouns.

    Yields:
        The pairs, scene by scene.

    >>> pairs = [*draw_project(Sam3.load("tiny"), 0, scenes=1)]
    >>> len(pairs) > 6 and sum(bool(pair.truth) for pair in pairs) == len(pairs) - 6
    True
    """
    for number in range(scenes):
        place = seed * SCENES_PER_SEED + number
        scene = draw_numbered_scene(place)
        image, outlines = Image(scene.pixels), encode_masks(scene.masks)
        present = sorted({thing.noun for thing in scene.objects})
        absent = choose_negatives(present, np.random.default_rng(place), negatives)
        pairs = [
            Pair(image=image.key, phrase=noun, original=noun, origin="list" if noun in present else "sibling")
            for noun in (*present, *absent)
        ]
        [proposals] = propose_masks(sam3, [(image, pairs)])
        for pair, proposal in zip(pairs, add_signals(sam3, image, pairs, proposals), strict=True):
            truth = [outlines[index] for index, thing in enumerate(scene.objects) if thing.noun == pair.phrase]
            yield SimulatedPair(place, pair, proposal, tuple(truth))


def draw_numbered_scene(number: int) -> Scene:
    """Draw the scene of a number, as `SimulatedPair.scene` has it; no training has seen it."""
    return draw_scene(FIRST_SCENE + number, size=SCENE_SIZE)


def choose_negatives(present: Sequence[str], rng: np.random.Generator, kind: NegativeKind) -> list[str]:
    """Choose nouns that are not in a scene.

    >>> len(choose_negatives(["dog"], np.random.default_rng(0), "siblings"))
    6
    >>> set(choose_negatives(["dog"], np.random.default_rng(0), "siblings")) <= HYPERNYMS["animal"]
    True
    """
    families = [nouns for word, nouns in HYPERNYMS.items() if word not in _EVERYTHING and nouns & {*present}]
    pool = {*NOUNS} if kind == "any" else {noun for family in families for noun in family}
    return [str(noun) for noun in rng.permutation(sorted(pool - {*present}))[:NEGATIVES]]


@dataclass(frozen=True, eq=False)
class SimulatedReviewer:
    """Answers about masks and coverage, each wrong with a fixed chance; the same item always gets the same answer.

    >>> reviewer = SimulatedReviewer(0, mask_error=0.0, coverage_error=1.0)
    >>> reviewer.slips("c4", 0), reviewer.slips("c4", None)
    (False, True)
    """

    seed: int
    mask_error: float = MASK_ERROR
    coverage_error: float = COVERAGE_ERROR

    def slips(self, pair: str, mask: int | None) -> bool:
        """Whether the answer about a mask, or with None about coverage, is wrong."""
        place = 0 if mask is None else mask + 1
        chance = np.random.default_rng((self.seed, int(pair, 16), place)).random()
        return bool(chance < (self.coverage_error if mask is None else self.mask_error))

    def label_pair(self, simulated: SimulatedPair, stage: Stage) -> list[LabelledItem]:
        """Label the masks, or the coverage, of a pair that was drawn at random."""
        key, image, proposal = simulated.pair.key, simulated.pair.image, simulated.proposal
        if stage == "mv":
            return [
                LabelledItem(
                    *(key, index, image, list_mask_signals(proposal, index), right != self.slips(key, index)),
                    is_random=True,
                )
                for index, right in enumerate(simulated.right_masks)
            ]
        signals = list_pair_signals(proposal, range(len(proposal.masks)))
        return [LabelledItem(key, None, image, signals, simulated.is_covered != self.slips(key, None), is_random=True)]

    def settle_pair(self, simulated: SimulatedPair, stage: Stage) -> list[LabelledItem]:
        """Label a pair as it is once whatever was rejected has been corrected: of the slips, those remain that accept.

        What a reviewer rejects goes to a correction, where nothing had to be changed if it was right.
        """
        truth = simulated.right_masks if stage == "mv" else (simulated.is_covered,)
        return [
            replace(label, is_right=is_right or label.is_right)
            for label, is_right in zip(self.label_pair(simulated, stage), truth, strict=True)
        ]

    def passes_error(self, simulated: SimulatedPair) -> bool:
        """Whether a pair whose label is wrong is taken for right: a slip for each thing that is wrong with it."""
        key = simulated.pair.key
        masks = [self.slips(key, index) for index, right in enumerate(simulated.right_masks) if not right]
        return not simulated.is_right and all(masks) and (simulated.is_covered or self.slips(key, None))

    def estimate_seconds(self, simulated: SimulatedPair) -> float:
        """Return the seconds of a person who looks at a pair, and corrects it where it is wrong."""
        return LOOK_SECONDS if simulated.is_right else CORRECT_SECONDS
