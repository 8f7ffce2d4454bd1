"""Pairs of shifted scenes: their truth, what SAM 3 proposes, and what it says of its proposals.

One line of JSON a scene, appended as they are made: a run that is cut off goes on where it stopped.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from sam3_tool import ConceptPrompt, Image, Instances, Sam3, VisualPrompt
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
    """A phrase of a scene. Masks are COCO run lengths of the scene's size."""

    phrase: str
    truth: tuple[str, ...]
    masks: tuple[str, ...]
    """Those offered."""
    mask_signals: tuple[dict[str, float], ...]
    pair_signals: dict[str, float]


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
            yield tuple(ProposedPair(**pair) for pair in json.loads(line))


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
    return json.dumps([asdict(pair) for pair in pairs]) + "\n"


def propose_pairs(sam3: Sam3, number: int) -> tuple[ProposedPair, ...]:
    """Ask about a shifted scene, and let SAM 3 propose masks and judge them by a box prompt each."""
    scene, rng = draw_shifted_scene(number), np.random.default_rng([number, 4])
    prompts = {p.phrase: p for p in (ask_about_scene(scene, kind, rng) for kind in KINDS)}
    image, truth = Image(scene.pixels), rle.encode_masks(scene.masks)
    found = sam3.segment_batch([(image, ConceptPrompt(phrase, threshold=LOWEST_SCORE)) for phrase in prompts])
    return tuple(
        _describe_pair(sam3, image, answer, [truth[index].counts for index in prompt.targets])
        for prompt, answer in zip(prompts.values(), found, strict=True)
    )


def _describe_pair(sam3: Sam3, image: Image, found: Instances, truth: Sequence[str]) -> ProposedPair:
    offered = np.flatnonzero(found.scores > OFFERED_SCORE)
    boxes = [tuple(map(float, found.boxes[index])) for index in offered]
    second = sam3.segment_batch([(image, VisualPrompt(box=box)) for box in boxes]) if boxes else []  # type: ignore[arg-type]
    masks = [found.rles[index] for index in offered]
    signals = [
        _describe_mask(float(found.scores[index]), found.rles[index], again)
        for index, again in zip(offered, second, strict=True)
    ]
    pair_signals = {
        "presence": float(found.presence),
        "uncovered": _find_uncovered_score(found, masks),
        "count": float(len(masks)),
        "least_score": min((s["score"] for s in signals), default=float(found.presence)),
        "least_agreement": min((s["agreement"] for s in signals), default=0.0),
    }
    phrase = str(found.phrase)
    return ProposedPair(phrase, tuple(truth), tuple(m.counts for m in masks), tuple(signals), pair_signals)


def _describe_mask(score: float, mask: RleMask, again: Instances) -> dict[str, float]:
    best = int(np.argmax(again.scores)) if len(again) else 0
    agreement = float(rle.compute_ious([mask], [again.rles[best]])[0, 0]) if len(again) else 0.0
    share = float(rle.compute_areas([mask])[0]) / (SIZE[0] * SIZE[1])
    predicted = float(again.scores[best]) if len(again) else 0.0
    return {"score": score, "agreement": agreement, "predicted_iou": predicted, "log_area": float(np.log(share + 1e-4))}


def _find_uncovered_score(found: Instances, masks: Sequence[RleMask]) -> float:
    """Return the score of the strongest instance that no offered mask covers."""
    rest = np.flatnonzero(found.scores <= OFFERED_SCORE)
    overlap = rle.compute_ious([found.rles[index] for index in rest], masks) if len(rest) and masks else None
    free = [index for row, index in enumerate(rest) if overlap is None or overlap[row].max() < 0.5]
    return float(found.scores[free].max()) if free else 0.0
