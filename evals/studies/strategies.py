"""Measure what strategies of planning are worth: `python -m evals.studies.strategies`.

A SIMULATION: simulated models, whose published protocol has the published gIoU, plan over a simulated segmenter on
scenes that were not fitted on. For each way of planning: gIoU and tokens of prompts and images, the difference from
the published protocol, and the curve under limits of tokens, with 95 % intervals. `--sensitivity` fits the profiles
anew under other assumptions, and measures the best way again. `--readable` asks queries that the grammar can read.
"""

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from agent import Episode, GrammarPlanner, Planner, Task, run
from agent.core.errors import PlannerError
from agent.planners.chat.planner import ChatPlanner
from agent.planners.strategies.options import Strategies
from agent.planners.strategies.planner import StrategyPlanner
from agent.planners.strategies.thesaurus import load_thesaurus
from agent.tools import PAPER
from evals.metrics.reasonseg import count_pixels
from evals.reports.tables import format_columns
from evals.simulation.fitting import FIT_SEED, PUBLISHED, fit_skill, measure_protocol
from evals.simulation.model import SimulatedModel
from evals.simulation.profile import Profile, load_profiles
from evals.simulation.samples import SimulatedSample, collect_truths, draw_samples
from evals.simulation.segmenter import SimulatedSegmenter
from evals.studies.strategy_plot import draw_curves
from sam3_tool import Sam3
from sam3_tool.masks.rle import decode_mask, merge_masks

BASELINE = "published protocol"
ALL = "hypotheses,second-looks,working-mask"
WAYS = (
    *(BASELINE, "workspace", "short-questions", "hypotheses", "second-looks", "working-mask"),
    *("hypotheses,second-looks", "hypotheses,working-mask", ALL, f"{ALL},stop-rule"),
    *(f"{ALL},tournament", f"{ALL},thesaurus"),
)
READABLE_WAYS = ("grammar", BASELINE, ALL, "router", f"{ALL},router")
LIMITS = (1000, 1500, 2000, 2500, 3000, 4000, 5000, 6000, 8000, 12000)
"""Tokens of prompts and replies, as --max-tokens takes them."""
STUDY_SEED, MODEL_SEED = 1, 7
"""Of scenes and of the model's errors: others than those that profiles were fitted on."""
ASSUMPTIONS: Mapping[str, Mapping[str, float]] = {
    "as assumed": {},
    "correlation 0.3": {"correlation": 0.3},
    "correlation 0.95": {"correlation": 0.95},
    "verdicts err more": {"acuity": 0.9},
    "verdicts err less": {"acuity": 1.7},
    "queries misread more": {"reading": -0.3},
}
"""Name -> what is changed in a profile before its skill is fitted anew."""
SENSITIVITY_SKILLS = (-0.2, 0.2, 0.6, 1.0, 1.5, 2.2)
DRAWS = 2000


@dataclass(frozen=True)
class AnsweredSample:
    """What a way of planning made of a sample."""

    iou: float
    tokens: int
    """Of prompts, images included."""
    requests: int
    limited: tuple[float, ...]
    """IoU under each of `LIMITS`."""
    spent: tuple[int, ...]
    """Tokens of prompts under each of `LIMITS`."""


def list_ways(*, readable: bool) -> list[str]:
    """List the ways that can be measured here: 'thesaurus' needs WordNet, which a system package brings."""
    every = READABLE_WAYS if readable else WAYS
    try:
        load_thesaurus()
    except PlannerError:
        return [way for way in every if "thesaurus" not in way]
    return [*every]


def build_planner(way: str, model: SimulatedModel) -> Planner:
    """Build the planner of a way of planning."""
    match way:
        case "grammar":
            return GrammarPlanner()
        case "workspace":
            return ChatPlanner(model)
        case _ if way == BASELINE:
            return ChatPlanner(model, toolset=PAPER)
        case _:
            return StrategyPlanner(model, strategies=Strategies.parse(way))


def answer_samples(
    way: str, samples: Sequence[SimulatedSample], profile: Profile, *, seed: int = MODEL_SEED
) -> list[AnsweredSample]:
    """Ask every sample in one way, with one profile."""
    truths = collect_truths(samples)
    planner, sam3 = build_planner(way, SimulatedModel(truths, profile, seed)), Sam3(SimulatedSegmenter(truths))
    return [measure_episode(sample, run(Task(sample.image, sample.query), planner, sam3)) for sample in samples]


def measure_episode(sample: SimulatedSample, episode: Episode) -> AnsweredSample:
    """Score an episode as it ended, and as it would have ended at each limit of tokens."""
    prefixes = [Episode(episode.task, episode.steps[: count + 1]) for count in range(len(episode.steps))]
    usages = [prefix.usage for prefix in prefixes]
    ended = [
        next((k for k, u in enumerate(usages) if u.prompt_tokens + u.completion_tokens >= limit), len(prefixes) - 1)
        for limit in LIMITS
    ]
    last = len(prefixes) - 1
    ids = {k: episode.current_ids if k == last else prefixes[k].best_ids for k in {*ended, last}}
    ious = {k: _score_masks(sample, episode, found) for k, found in ids.items()}
    return AnsweredSample(
        ious[last],
        usages[last].prompt_tokens,
        usages[last].model_calls,
        tuple(ious[k] for k in ended),
        tuple(usages[k].prompt_tokens for k in ended),
    )


def _score_masks(sample: SimulatedSample, episode: Episode, ids: Sequence[int]) -> float:
    height, width = sample.truth.size
    masks = episode.workspace.get_rles(ids)
    found = decode_mask(merge_masks(masks)) if masks else np.zeros((height, width), bool)
    inside, joined = count_pixels(found, sample.target)
    return inside / joined if joined else 1.0


def summarize_way(
    answers: Sequence[AnsweredSample], baseline: Sequence[AnsweredSample], *, draws: int = DRAWS
) -> dict[str, Any]:
    """Summarize a way of planning: gIoU in percent, its lead over the baseline by sample, tokens, and the curve."""
    ious, tokens = _get_column(answers, "iou"), _get_column(answers, "tokens")
    lead = ious - _get_column(baseline, "iou")
    limited = np.array([answer.limited for answer in answers])
    spent = np.array([answer.spent for answer in answers])
    return {
        "giou": _measure_mean(100 * ious, draws),
        "lead": _measure_mean(100 * lead, draws),
        "tokens": round(float(tokens.mean())),
        "requests": round(float(_get_column(answers, "requests").mean()), 2),
        "curve": [
            {"limit": limit, "tokens": round(float(used.mean())), "giou": _measure_mean(100 * found, draws)}
            for limit, used, found in zip(LIMITS, spent.T, limited.T, strict=True)
        ],
    }


def _get_column(answers: Sequence[AnsweredSample], name: str) -> np.ndarray:
    return np.array([getattr(answer, name) for answer in answers], float)


def _measure_mean(values: np.ndarray, draws: int) -> list[float]:
    """The mean of one value per scene, and its 95 % interval when scenes are drawn anew."""
    rng = np.random.default_rng(0)
    means = values[rng.integers(len(values), size=(draws, len(values)))].mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return [round(float(number), 2) for number in (values.mean(), low, high)]


def measure_ways(
    samples: Sequence[SimulatedSample], profiles: Mapping[str, Profile], ways: Sequence[str]
) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield profile, way of planning and its summary."""
    for name, profile in profiles.items():
        baseline = answer_samples(BASELINE, samples, profile)
        for way in ways:
            answers = baseline if way == BASELINE else answer_samples(way, samples, profile)
            yield name, way, summarize_way(answers, baseline)


def measure_sensitivity(samples: Sequence[SimulatedSample], fit: Sequence[SimulatedSample]) -> dict[str, Any]:
    """Under each of `ASSUMPTIONS`, fit every profile anew on `fit` and measure the baseline and all strategies."""
    found: dict[str, Any] = {}
    for name, changes in ASSUMPTIONS.items():
        base = replace(Profile("any"), **changes)  # type: ignore[arg-type]
        curve = {skill: measure_protocol(fit, base.with_skill(skill), seeds=[0]) for skill in SENSITIVITY_SKILLS}
        profiles = {who: replace(base, name=who, skill=fit_skill(curve, wanted)) for who, wanted in PUBLISHED.items()}
        for who, way, summary in measure_ways(samples, profiles, (BASELINE, ALL)):
            found.setdefault(name, {}).setdefault(who, {})[way] = {
                key: summary[key] for key in ("giou", "lead", "tokens")
            }
    return found


def format_way_table(rows: Mapping[str, Mapping[str, Any]]) -> str:
    """Format the summaries of one profile, way -> summary."""
    cells = [
        (way, _format_interval(row["giou"]), _format_interval(row["lead"], sign="+"), f"{row['tokens']:,}")
        for way, row in rows.items()
    ]
    head = ("way of planning", "gIoU", "over the published protocol", "tokens")
    return format_columns(cells, head=head, right_aligned=(1, 2, 3))


def _format_interval(numbers: Sequence[float], sign: str = "") -> str:
    value, low, high = numbers
    return f"{value:{sign}.1f} ({low:{sign}.1f} to {high:{sign}.1f})"


def main(words: Sequence[str] | None = None) -> None:
    """Measure as the command line asks. `words`: the command line; None = the program's own."""
    parser = argparse.ArgumentParser(description="What strategies are worth, in a simulation.")
    parser.add_argument("--number", type=int, default=500, help="queries, one in ten without a target (default 500)")
    parser.add_argument("--readable", action="store_true", help="queries that the grammar can read, for the router")
    parser.add_argument("--sensitivity", action="store_true", help="fit and measure under other assumptions")
    parser.add_argument("--ways", nargs="+", help="these ways alone; the file of --out keeps what it has of others")
    parser.add_argument("--profiles", nargs="+", choices=load_profiles(), help="these profiles alone")
    parser.add_argument("--out", type=Path, help="write the numbers here as JSON, and a plot beside them")
    options = parser.parse_args(words)
    samples = draw_samples(options.number, STUDY_SEED, implicit=not options.readable)
    kept: dict[str, Any] = {"simulation": True, "samples": len(samples), "profiles": {}}
    if options.sensitivity:
        kept["sensitivity"] = measure_sensitivity(samples, draw_samples(options.number, FIT_SEED))
        print(json.dumps(kept["sensitivity"], indent=1))
    else:
        every = READABLE_WAYS if options.readable else WAYS
        measured = options.ways or list_ways(readable=options.readable)
        if left_out := {*every} - {*measured} if not options.ways else set():
            print(f"{', '.join(left_out)}: left out, for WordNet is not installed (apt install wordnet-base)")
        kept["assumed"] = asdict(Profile("assumed"))
        if options.ways and options.out and options.out.exists():
            kept = json.loads(options.out.read_text(encoding="utf-8"))
        profiles = {name: profile for name, profile in load_profiles().items() if name in (options.profiles or (name,))}
        for name, way, summary in measure_ways(samples, profiles, measured):
            rows = {**kept["profiles"].get(name, {}), way: summary}
            kept["profiles"][name] = {way: rows[way] for way in (*every, *rows) if way in rows}
            print(f"{name}: {way}: {_format_interval(summary['giou'])}, {summary['tokens']} tokens", flush=True)
            _save_numbers(kept, options.out)
        for name, rows in kept["profiles"].items():
            print(f"\n{name}, simulated\n{format_way_table(rows)}")
    _save_numbers(kept, options.out)
    if options.out and kept["profiles"] and not options.readable:
        options.out.with_suffix(".svg").write_text(draw_curves(kept["profiles"]), encoding="utf-8")


def _save_numbers(kept: Mapping[str, Any], path: Path | None) -> None:
    if path is not None:
        path.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
