"""Fit the profiles to the published numbers of the published protocol: `python -m evals.simulation.fitting`.

One number is fitted for each profile, its skill, so that the four published tools with their prompt, run through the
simulated model on the generated world's ReasonSeg files, have the published gIoU on ReasonSeg's test split. Nothing
else is looked at. `--segmenter` shows how good the simulated segmenter is beside the published SAM 3.
"""

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np

from agent.planners.chat.planner import ChatPlanner
from agent.tools import PAPER
from evals.metrics.cgf1 import score_pairs
from evals.metrics.reasonseg import count_pixels
from evals.reports.tables import format_columns
from evals.simulation.model import SimulatedModel
from evals.simulation.profile import PROFILES_PATH, Profile
from evals.simulation.samples import SimulatedSample, ask_samples, collect_truths, draw_samples
from evals.simulation.segmenter import SimulatedSegmenter
from sam3_tool import ConceptPrompt, Sam3
from sam3_tool.masks.rle import RleMask, decode_mask, merge_masks
from sam3_tool.synthetic.phrases import Kind, ask_about_scene
from sam3_tool.synthetic.scenes import Scene

PUBLISHED = {"7B": 63.0, "72B": 70.8, "frontier": 74.0}
"""gIoU of the SAM 3 agent on ReasonSeg's test split: Qwen2.5-VL 7B and 72B, Gemini 2.5 Pro (arXiv 2511.16719,
Table 7)."""
PUBLISHED_SEGMENTER = {"pmF1": 66.0, "IL_MCC": 0.82, "cgF1": 54.1}
"""SAM 3 on SA-Co/Gold."""
SKILLS = (0.2, 0.4, 0.6, 0.8, 1.0, 1.3, 1.7, 2.5)
"""Where the curve of gIoU over skill is measured; between them it is taken to be straight."""
FIT_SEED = 0
"""Of the scenes that profiles are fitted on. Studies take others."""
MODEL_SEEDS = (0, 1)


def measure_protocol(
    samples: Sequence[SimulatedSample], profile: Profile, *, seeds: Sequence[int] = MODEL_SEEDS
) -> float:
    """Measure the gIoU of the published protocol, in percent, over all these seeds of the model."""
    truths = collect_truths(samples)
    sam3 = Sam3(SimulatedSegmenter(truths))
    planners = [ChatPlanner(SimulatedModel(truths, profile, seed), toolset=PAPER) for seed in seeds]
    return 100 * float(np.mean([result.iou for planner in planners for result in ask_samples(samples, planner, sam3)]))


def fit_skill(curve: Mapping[float, float], wanted: float) -> float:
    """Find the skill at which a curve, skill -> percent, first reaches `wanted`.

    >>> fit_skill({0.0: 60.0, 1.0: 70.0}, 63.0)
    0.3
    """
    for (low, below), (high, above) in pairwise(sorted(curve.items())):
        if below <= wanted <= above:
            return round(low + (high - low) * (wanted - below) / (above - below), 3)
    raise ValueError(f"{wanted} is not within the measured {min(curve.values()):.1f} to {max(curve.values()):.1f}")


def fit_profiles(samples: Sequence[SimulatedSample], base: Profile) -> list[dict[str, float | str]]:
    """Fit every profile, and measure it once more.

    Args:
        samples: Those to fit on.
        base: Everything but the skill.

    Returns:
        For each profile its name, its skill, the published number and the one it has, in percent.
    """
    curve = {skill: measure_protocol(samples, base.with_skill(skill)) for skill in SKILLS}
    rows: list[dict[str, float | str]] = []
    for name, wanted in PUBLISHED.items():
        skill = fit_skill(curve, wanted)
        found = measure_protocol(samples, replace(base, name=name, skill=skill))
        rows.append({"name": name, "skill": skill, "published": wanted, "simulated": round(found, 2)})
    return rows


def measure_segmenter(samples: Sequence[SimulatedSample]) -> dict[str, float]:
    """Measure the simulated segmenter on phrases, two of five absent, as SA-Co measures SAM 3."""
    scores = score_pairs(_answer_phrases(samples))
    return {name: scores[name] for name in PUBLISHED_SEGMENTER}


def measure_perfect_choice(samples: Sequence[SimulatedSample]) -> float:
    """Measure the gIoU, in percent, of the masks that phrases find for exactly the objects that are meant."""
    segmenter = SimulatedSegmenter(collect_truths(samples))
    ious = []
    for sample in samples:
        truth = sample.truth
        found = decode_mask(merge_masks([segmenter.spoil_mask(truth, index, "phrase") for index in truth.targets]))
        inside, joined = count_pixels(found, sample.target)
        ious.append(inside / joined)
    return 100 * float(np.mean(ious))


def _answer_phrases(samples: Sequence[SimulatedSample]) -> Iterator[tuple[Sequence[RleMask], Sequence[RleMask]]]:
    sam3, rng = Sam3(SimulatedSegmenter(collect_truths(samples))), np.random.default_rng(FIT_SEED)
    kinds: tuple[Kind, ...] = ("positive", "positive", "positive", "negative", "negative")
    for sample in samples:
        scene = Scene(sample.image.pixels, np.zeros(sample.truth.size, np.uint8), sample.truth.objects)
        for prompt in (ask_about_scene(scene, kind, rng) for kind in kinds):
            [found] = sam3.segment_batch([(sample.image, ConceptPrompt(prompt.phrase))])
            yield found.rles, [sample.truth.rles[index] for index in prompt.targets]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--number", type=int, default=300, help="queries, one in ten without a target (default 300)")
    parser.add_argument("--seed", type=int, default=FIT_SEED, help=f"of the scenes (default {FIT_SEED})")
    parser.add_argument("--correlation", type=float, default=Profile("any").correlation, help="of repeated errors")
    parser.add_argument("--segmenter", action="store_true", help="show the segmenter's quality instead")
    parser.add_argument("--save", action="store_true", help=f"write {PROFILES_PATH.name}, else only show the fit")
    options = parser.parse_args()
    samples = draw_samples(options.number, options.seed)
    if options.segmenter:
        found = measure_segmenter(samples)
        rows = [(name, f"{wanted:g}", f"{found[name]:.3g}") for name, wanted in PUBLISHED_SEGMENTER.items()]
        rows.append(("gIoU of a perfect choice", "", f"{measure_perfect_choice(samples):.1f}"))
        print(format_columns(rows, head=("measure", "published", "simulated"), right_aligned=(1, 2)))
        return
    fitted = fit_profiles(samples, replace(Profile("fitted"), correlation=options.correlation))
    print(_format_fit(fitted))
    if options.save:
        content = {"command": "python -m evals.simulation.fitting --save", "number": options.number, "profiles": fitted}
        Path(PROFILES_PATH).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def _format_fit(rows: Sequence[Mapping[str, float | str]]) -> str:
    cells = [
        (
            str(row["name"]),
            f"{row['skill']:.3f}",
            f"{row['published']:.1f}",
            f"{row['simulated']:.1f}",
            f"{float(row['simulated']) - float(row['published']):+.1f}",
        )
        for row in rows
    ]
    head = ("profile", "skill", "published gIoU", "simulated gIoU", "residual")
    return format_columns(cells, head=head, right_aligned=(1, 2, 3, 4))


if __name__ == "__main__":
    main()
