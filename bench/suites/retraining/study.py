"""One round of the data engine on shifted scenes: propose, label in three ways, fine-tune on each, measure, compare.

All files lie in one folder, and whatever is there is not made again: a run that was cut off goes on, and one with more
scenes or more seeds takes what it can use. Proposals take seven minutes of one core for 1,200 scenes, each fine-tuning
eight to ten, and measuring a checkpoint one.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files
from itertools import islice
from pathlib import Path

import numpy as np
from platformdirs import user_cache_path

from bench.harness.tables import Cell, Table
from bench.suites.retraining.comparing import ArmResult, Outcomes, compare_arm
from bench.suites.retraining.labelling import ARMS, Arm, Scenes, label_scenes
from bench.suites.retraining.measuring import load_outcomes, measure_style, save_outcomes, score_outcomes
from bench.suites.retraining.proposals import read_proposals, write_proposals
from bench.suites.retraining.reviewing import EngineLabels, label_by_engine
from engine.proposing import describe_recipe
from engine.verifiers.measuring import SIGNALS_VERSION
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
    seeds: int = 1
    """Trainings of each kind of labels. A seed says the order of scenes, which known ones are mixed in, which pairs the
    simulated person sees at random, and where that person errs."""
    bfloat16: bool = False
    """Compute large layers in bfloat16: faster on CPUs that have units for it, slower on others."""

    def count_steps(self) -> int:
        """Return the steps of a training in which each scene is seen once."""
        return max(1, self.scenes // FinetuneRecipe.new_images)

    def describe_training(self) -> str:
        """Say in a folder's name what a checkpoint depends on beside its arm and seed."""
        return f"{self.scenes}-scenes-{self.reviewed:g}-reviewed" + "-bfloat16" * self.bfloat16


def get_default_folder() -> Path:
    """Return the folder of a study that names none, in the user's cache."""
    return user_cache_path("sam3-agent") / "bench-engine-loop"


def measure_loop(plan: LoopPlan) -> Iterator[Table]:
    """Run the study, and yield its tables: what the engine's labels rest on, and what each kind of labels gains.

    With more than one seed the gains are averages, and a third table tells those of each.
    """
    sam3 = Sam3.load("tiny")
    made_by = sha256(f"{describe_recipe(sam3)} {SIGNALS_VERSION}".encode()).hexdigest()[:12]
    path = plan.folder / f"proposals-{made_by}.jsonl"
    log.info("proposing masks for %d scenes", plan.scenes)
    write_proposals(sam3, path, scenes=plan.scenes)
    scenes = [*islice(read_proposals(path), plan.scenes)]
    yield _describe_labels(scenes, plan)
    run = LoopRun(plan, scenes, plan.folder / f"{plan.describe_training()}-{made_by}")
    before = run.measure_checkpoint("before", run.find_start)
    after = {arm: [run.measure_arm(arm, seed) for seed in range(plan.seeds)] for arm in ARMS}
    yield _build_table(before, after, plan)
    if plan.seeds > 1:
        yield _build_seed_table(before["printed"], after, plan)


@dataclass(frozen=True, eq=False)
class LoopRun:
    """The checkpoints and outcomes of one plan, made where they are missing."""

    plan: LoopPlan
    scenes: Scenes
    folder: Path
    """Of this plan alone: other scenes or another share of reviews give other checkpoints."""

    @staticmethod
    def find_start() -> Path:
        """Return the folder of the checkpoint that all arms start from."""
        return Path(str(files("sam3_tool"))) / "tiny"

    def measure_arm(self, arm: Arm, seed: int) -> dict[str, Outcomes]:
        """Fine-tune on one kind of labels and measure; what was measured before is not trained again."""

        def finetune_arm() -> Path:
            log.info("fine-tuning on %s, seed %d", NAMES[arm], seed)
            steps = self.plan.count_steps()
            out = self.folder / f"{arm}-{seed}"
            recipe = FinetuneRecipe(out, self.find_start(), seed=seed, steps=steps, bfloat16=self.plan.bfloat16)
            return run_finetuning(recipe, label_scenes(self.scenes, arm, reviewed=self.plan.reviewed, seed=seed))

        return self.measure_checkpoint(f"{arm}-{seed}", finetune_arm)

    def measure_checkpoint(self, name: str, make: Callable[[], Path]) -> dict[str, Outcomes]:
        """Return the outcomes of a checkpoint by style, as they were kept; where one is missing, make it first."""
        folder = self.folder / "outcomes"
        folder.mkdir(parents=True, exist_ok=True)
        paths = {style: folder / f"{name}-{style}.json" for style in STYLES}
        missing = [style for style, path in paths.items() if not path.exists()]
        checkpoint = make() if missing else None
        for style in missing:
            log.info("measuring %s on scenes of the style %s", name, style)
            how, scenes = STYLES[style]
            save_outcomes(paths[style], measure_style(Sam3.load(str(checkpoint)), how, scenes=scenes))
        return {style: load_outcomes(path) for style, path in paths.items()}


def _build_table(
    before: dict[str, Outcomes], after: Mapping[Arm, Sequence[dict[str, Outcomes]]], plan: LoopPlan
) -> Table:
    by_style = {arm: {style: [run[style] for run in runs] for style in STYLES} for arm, runs in after.items()}
    truths = by_style["truth"]["printed"]
    results = {arm: compare_arm(before["printed"], truths, runs["printed"]) for arm, runs in by_style.items()}
    start = score_outcomes(before["printed"])
    rows = [
        ("none: before", *_round_numbers(start), *(None,) * 6, round(score_outcomes(before["plain"])["cgF1"], 1)),
        *(_build_row(NAMES[arm], results[arm], by_style[arm]["plain"]) for arm in ARMS),
    ]
    about: dict[str, Cell] = {
        "shifted scenes": plan.scenes,
        "steps": plan.count_steps(),
        "share that the simulated person sees": plan.reviewed,
        **({"seed": 0} if plan.seeds == 1 else {"seeds": plan.seeds}),
        "test pairs": int(start["pairs"]),
        "bfloat16": str(plan.bfloat16),
    }
    return Table("engine-loop", "One round of fine-tuning on another style", COLUMNS, rows, about)


def _build_seed_table(before: Outcomes, after: Mapping[Arm, Sequence[dict[str, Outcomes]]], plan: LoopPlan) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for seed in range(plan.seeds):
        for arm in ARMS:
            comparison = compare_arm(before, [after["truth"][seed]["printed"]], [after[arm][seed]["printed"]])
            rows.append((seed, NAMES[arm], round(comparison.gain, 1), round(100 * comparison.share)))
    columns = ("seed", "labels", "gain", "share of the gain, %")
    return Table("engine-loop-seeds", "The same by seed of training", columns, rows, {"shifted scenes": plan.scenes})


def _build_row(name: str, result: ArmResult, plain: Sequence[Outcomes]) -> tuple[Cell, ...]:
    gain, share = result.gain_interval, result.share_interval
    return (
        *(name, *_round_numbers(result.numbers), round(result.gain, 1), round(gain.low, 1), round(gain.high, 1)),
        *(round(100 * number, 0) for number in (result.share, share.low, share.high)),
        round(float(np.mean([score_outcomes(run)["cgF1"] for run in plain])), 1),
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
