"""How good a checkpoint is in both styles, on held-out scenes that no training saw."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bench.suites.retraining.proposals import SIZE
from evals.metrics.cgf1 import PairOutcome, compute_official_numbers, match_instances, select_headline
from evals.studies.checkpoint import TEXT_KINDS
from sam3_tool import ConceptPrompt, Image, Sam3
from sam3_tool.masks import rle
from sam3_tool.synthetic.phrases import ask_about_scene
from sam3_tool.synthetic.scenes import HELD_OUT, SceneStyle, draw_scene
from sam3_tool.system.files import write_atomically

FIRST_SEED = HELD_OUT + 5_000_000


def measure_style(sam3: Sam3, style: SceneStyle | None, *, scenes: int) -> list[list[PairOutcome]]:
    """Ask five questions about each held-out scene of a style, 40 % of them about what is not there.

    Returns:
        The outcomes of each scene.
    """
    rng = np.random.default_rng(FIRST_SEED)
    measured = []
    for number in range(scenes):
        scene = draw_scene(FIRST_SEED + number, size=SIZE, style=style)
        image, truth = Image(scene.pixels), rle.encode_masks(scene.masks)
        prompts = [ask_about_scene(scene, kind, rng) for kind in TEXT_KINDS]
        answers = sam3.segment_batch([(image, ConceptPrompt(prompt.phrase)) for prompt in prompts])
        measured.append(
            [
                match_instances(rle.compute_ious(found.rles, [truth[index] for index in prompt.targets]))
                for prompt, found in zip(prompts, answers, strict=True)
            ]
        )
    return measured


def score_outcomes(scenes: Sequence[Sequence[PairOutcome]]) -> dict[str, float]:
    """Score the outcomes of scenes: cgF1 and pmF1 in percent, IL_MCC in [-1, 1]."""
    outcomes = [outcome for scene in scenes for outcome in scene]
    headline = select_headline(compute_official_numbers(outcomes), len(outcomes))
    return {name: headline[name] for name in ("cgF1", "pmF1", "IL_MCC", "pairs")}


def save_outcomes(path: Path, scenes: Sequence[Sequence[PairOutcome]]) -> None:
    """Keep outcomes in a JSON file."""
    rows = [[(outcome.predicted, outcome.targets, outcome.hits.tolist()) for outcome in scene] for scene in scenes]
    write_atomically(path, json.dumps(rows).encode())


def load_outcomes(path: Path) -> list[list[PairOutcome]]:
    """Read outcomes back."""
    rows = json.loads(path.read_text(encoding="utf-8"))
    return [[PairOutcome(predicted, targets, np.array(hits)) for predicted, targets, hits in scene] for scene in rows]
