"""Pairs of shifted scenes: their truth, what SAM 3 proposes, and what it says of its proposals.

One line of JSON a scene, appended as they are made: a run that is cut off goes on where it stopped.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engine.pairs import Pair, Proposal
from engine.verifiers.inputs import add_signals
from sam3_tool import ConceptPrompt, Image, Instances, Sam3
from sam3_tool.masks import rle
from sam3_tool.masks.rle import RleMask
from sam3_tool.synthetic.phrases import Kind, ask_about_scene
from sam3_tool.synthetic.scenes import HELD_OUT, Scene, draw_scene
from sam3_tool.synthetic.shifted import PRINTED

SIZE = (320, 240)
"""(width, height) in pixels of every scene."""
FIRST_SEED = HELD_OUT + 4_000_000
KINDS: tuple[Kind, ...] = ("positive", "positive", "negative", "negative")
LOWEST_SCORE, OFFERED_SCORE = 0.05, 0.5
"""Proposals above the second are offered; those between are evidence for coverage."""


@dataclass(frozen=True)
class ProposedPair:
    """A phrase of a scene, its truth, and what SAM 3 proposes."""

    phrase: str
    truth: tuple[str, ...]
    """COCO run lengths of the scene's size."""
    proposal: Proposal


def draw_shifted_scene(number: int) -> Scene:
    """Draw the shifted scene of this number."""
    return draw_scene(FIRST_SEED + number, size=SIZE, style=PRINTED)


def to_masks(counts: Sequence[str]) -> tuple[RleMask, ...]:
    """Convert run lengths to masks of a scene's size."""
    return tuple(RleMask(SIZE[::-1], runs) for runs in counts)


def read_proposals(path: Path) -> Iterator[tuple[ProposedPair, ...]]:
    """Read the pairs of each scene, in order; a line that was cut off ends them."""
    if not path.exists():
        return
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            if not line.endswith("\n"):
                return
            yield tuple(
                ProposedPair(pair["phrase"], tuple(pair["truth"]), Proposal.model_validate(pair["proposal"]))
                for pair in json.loads(line)
            )


def write_proposals(sam3: Sam3, path: Path, *, scenes: int) -> None:
    """Propose masks for all scenes that the file does not hold yet."""
    done = list(read_proposals(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_suffix(".new").open("w", encoding="utf-8") as file:
        file.writelines(_to_line(pairs) for pairs in done)
        file.flush()
        path.with_suffix(".new").replace(path)
        for number in range(len(done), scenes):
            file.write(_to_line(propose_pairs(sam3, number)))
            file.flush()


def _to_line(pairs: Sequence[ProposedPair]) -> str:
    rows = [{**vars(pair), "proposal": pair.proposal.model_dump(mode="json")} for pair in pairs]
    return json.dumps(rows) + "\n"


def propose_pairs(sam3: Sam3, number: int) -> tuple[ProposedPair, ...]:
    """Ask about a shifted scene, and let SAM 3 propose masks and look at them again."""
    scene, rng = draw_shifted_scene(number), np.random.default_rng([number, 4])
    prompts = {p.phrase: p for p in (ask_about_scene(scene, kind, rng) for kind in KINDS)}
    image, truth = Image(scene.pixels), rle.encode_masks(scene.masks)
    pairs = [Pair(image=image.key, phrase=phrase, original=phrase, origin="list") for phrase in prompts]
    found = sam3.segment_batch([(image, ConceptPrompt(phrase, threshold=LOWEST_SCORE)) for phrase in prompts])
    bare = [_build_proposal(pair, answer) for pair, answer in zip(pairs, found, strict=True)]
    return tuple(
        ProposedPair(prompt.phrase, tuple(truth[index].counts for index in prompt.targets), proposal)
        for prompt, proposal in zip(prompts.values(), add_signals(sam3, image, pairs, bare), strict=True)
    )


def _build_proposal(pair: Pair, found: Instances) -> Proposal:
    scored = [(mask, float(score)) for mask, score in zip(found.rles, found.scores, strict=True)]
    offered = [(mask, score) for mask, score in scored if score > OFFERED_SCORE]
    weak = [(mask, score) for mask, score in scored if score <= OFFERED_SCORE]
    return Proposal(
        pair=pair.key,
        masks=tuple(mask for mask, _ in offered),
        scores=tuple(score for _, score in offered),
        presence=float(found.presence),
        evidence=tuple(mask for mask, _ in weak),
        evidence_scores=tuple(score for _, score in weak),
        made_by="tiny",
    )
