"""One round of the data engine on shifted scenes: propose, label in three ways, fine-tune on each, measure, compare.

All files lie in one folder, and whatever is there is not made again: a run that was cut off goes on. Proposals take
seven minutes of one core for 1,200 scenes, each fine-tuning eight to ten, and measuring a checkpoint one.
"""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np
from platformdirs import user_cache_path

from bench.harness.tables import Cell, Table
from bench.suites.retraining.comparing import ArmResult, Outcomes, compare_arm
from bench.suites.retraining.labelling import ARMS, Arm, Scenes, label_scenes
from bench.suites.retraining.measuring import load_outcomes, measure_style, save_outcomes, score_outcomes
from bench.suites.retraining.proposals import read_proposals, write_proposals
from bench.suites.retraining.reviewing import EngineLabels, label_by_engine
from sam3_tool import Sam3
from sam3_tool.synthetic.scenes import SceneStyle
from sam3_tool.synthetic.shifted import PRINTED
from sam3_tool.training.finetuning.run import FinetuneRecipe, run_finetuning

STYLES: dict[str, tuple[SceneStyle | None, int]] = {"printed": (PRINTED, 200), "plain": (None, 100)}
"""Style -> how it is drawn, and how many held-out scenes of it are asked about."""
COLUMNS = (
    *("labels", "cgF1", "pmF1", "IL_MCC", "gain", "from", "to"),
    *("share of the gain, %", "from, %", "to, %", "cgF1 of the known style"),
)
NAMES: dict[Arm, str] = {"truth": "true labels", "pseudo": "pseudo-labels", "engine": "the engine's labels"}

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LoopPlan:
    """What one study does."""

    folder: Path
    """For everything that is made on the way."""
    scenes: int = 1200
    """Shifted scenes that are labelled; each is seen once."""
    reviewed: float = 0.3
    """Share of the pairs that the simulated person sees."""
    seed: int = 0
    """Of fine-tuning: the order of scenes, and which known ones are mixed in."""
    bfloat16: bool = False
    """Compute large layers in bfloat16: faster on CPUs that have units for it, slower on others."""


def get_default_folder() -> Path:
    """Return the folder of a study that names none, in the user's cache."""
    return user_cache_path("sam3-agent") / "bench-engine-loop"


def measure_loop(plan: LoopPlan) -> Iterator[Table]:
    """Run the study, and yield its tables: what each kind of labels gains, and what the engine's labels rest on."""
    scenes = _propose_scenes(plan)
    yield _describe_labels(scenes, plan)
    start = Path(str(files("sam3_tool"))) / "tiny"
    before = _measure_checkpoint(start, "before", plan)
    after = {
        arm: _measure_checkpoint(_finetune_arm(scenes, arm, start, plan), f"{arm}-{plan.seed}", plan) for arm in ARMS
    }
    yield _build_table(before, after, plan)


def _propose_scenes(plan: LoopPlan) -> Scenes:
    path = plan.folder / "proposals.jsonl"
    log.info("proposing masks for %d scenes", plan.scenes)
    write_proposals(Sam3.load("tiny"), path, scenes=plan.scenes)
    return [*read_proposals(path)][: plan.scenes]


def _finetune_arm(scenes: Scenes, arm: Arm, start: Path, plan: LoopPlan) -> Path:
    """Fine-tune on one kind of labels, and return the checkpoint's folder."""
    out = plan.folder / f"{arm}-{plan.seed}"
    steps = max(1, len(scenes) // FinetuneRecipe.new_images)
    recipe = FinetuneRecipe(out, start, seed=plan.seed, steps=steps, bfloat16=plan.bfloat16)
    log.info("fine-tuning on %s", NAMES[arm])
    return run_finetuning(recipe, label_scenes(scenes, arm, reviewed=plan.reviewed))


def _measure_checkpoint(checkpoint: Path, name: str, plan: LoopPlan) -> dict[str, Outcomes]:
    """Return the outcomes of a checkpoint by style, measured or as they were kept."""
    folder = plan.folder / "outcomes"
    folder.mkdir(parents=True, exist_ok=True)
    found: dict[str, Outcomes] = {}
    for style_name, (style, scenes) in STYLES.items():
        path = folder / f"{name}-{style_name}.json"
        if not path.exists():
            log.info("measuring %s on scenes of the style %s", name, style_name)
            save_outcomes(path, measure_style(Sam3.load(str(checkpoint)), style, scenes=scenes))
        found[style_name] = load_outcomes(path)
    return found


def _build_table(before: dict[str, Outcomes], after: dict[Arm, dict[str, Outcomes]], plan: LoopPlan) -> Table:
    results = {arm: compare_arm(before["printed"], after["truth"]["printed"], after[arm]["printed"]) for arm in ARMS}
    start = score_outcomes(before["printed"])
    rows = [
        ("none: before", *_round_numbers(start), *(None,) * 6, round(score_outcomes(before["plain"])["cgF1"], 1)),
        *(_build_row(NAMES[arm], results[arm], after[arm]["plain"]) for arm in ARMS),
    ]
    about: dict[str, Cell] = {
        "shifted scenes": plan.scenes,
        "steps": max(1, plan.scenes // FinetuneRecipe.new_images),
        "share that the simulated person sees": plan.reviewed,
        "seed": plan.seed,
        "test pairs": int(start["pairs"]),
        "bfloat16": str(plan.bfloat16),
    }
    return Table("engine-loop", "One round of fine-tuning on another style", COLUMNS, rows, about)


def _build_row(name: str, result: ArmResult, plain: Outcomes) -> tuple[Cell, ...]:
    gain, share = result.gain_interval, result.share_interval
    return (
        *(name, *_round_numbers(result.numbers), round(result.gain, 1), round(gain.low, 1), round(gain.high, 1)),
        *(round(100 * number, 0) for number in (result.share, share.low, share.high)),
        round(score_outcomes(plain)["cgF1"], 1),
    )


def _round_numbers(numbers: Mapping[str, float]) -> tuple[float, float, float]:
    return round(numbers["cgF1"], 1), round(numbers["pmF1"], 1), round(numbers["IL_MCC"], 3)


def _describe_labels(scenes: Scenes, plan: LoopPlan) -> Table:
    """Describe the engine's labels: who made them, and how many of their proposals were wrong."""
    labels = label_by_engine(scenes, reviewed=plan.reviewed)
    groups = {
        "seen by the simulated person": labels.by_person,
        "final without a person": ~labels.by_person & labels.is_final,
        "perhaps incomplete": ~labels.is_final,
    }
    rows = [(name, int(chosen.sum()), *_count_wrong(labels, chosen)) for name, chosen in groups.items()]
    columns = ("pairs", "count", "wrong proposals among them", "share of all wrong proposals, %")
    return Table("engine-loop-labels", "What the engine makes of its proposals", columns, rows, {"scenes": len(scenes)})


def _count_wrong(labels: EngineLabels, chosen: np.ndarray) -> tuple[int, float]:
    wrong = int((labels.is_wrong & chosen).sum())
    return wrong, round(100 * wrong / max(1, int(labels.is_wrong.sum())), 1)
