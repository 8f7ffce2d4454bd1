"""Samples for a simulated model: the generated world's ReasonSeg files, with the truth of each, asked and scored."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import cast

import numpy as np

from agent import Budget, Episode, Planner, Task, run
from agent.core.budget import DEFAULT_BUDGET
from evals.datasets.loading import load_dataset
from evals.datasets.reasonseg import ReasonSeg
from evals.datasets.synthetic.make_scenes import write_queries
from evals.datasets.synthetic.scenes import SIZES, generate_queries
from evals.metrics.reasonseg import count_pixels
from evals.simulation.truth import SampleTruth
from sam3_tool import Image, Sam3

IMPLICIT_WORDING = "the thing that somebody would want here, number {number}"
"""A query that says nothing to a grammar, as those of ReasonSeg do."""


@dataclass(frozen=True, eq=False)
class SimulatedSample:
    """A sample of a ReasonSeg file with the truth of its scene."""

    id: str
    query: str
    image: Image
    truth: SampleTruth
    target: np.ndarray
    """uint8, (H, W) out of 0, 1, 255 = ignored, as the file has it."""


def draw_samples(
    number: int, seed: int, *, sizes: Sequence[tuple[int, int]] = SIZES, implicit: bool = True
) -> list[SimulatedSample]:
    """Generate queries, write them as ReasonSeg's files, and read those.

    Args:
        number: Queries, of which one in ten has no target and is left out, as in ReasonSeg.
        seed: Other seeds give other scenes.
        sizes: (width, height) of the scenes in turn, in pixels.
        implicit: Whether the query is put so that no grammar can read it.

    Returns:
        The samples in order.
    """
    queries = list(generate_queries(number, seed=seed, sizes=sizes))
    with TemporaryDirectory() as folder:
        folders = write_queries(Path(folder), queries, benchmarks=["reasonseg"])
        dataset = cast(ReasonSeg, load_dataset("reasonseg", folders["reasonseg"], "val").dataset)
        samples = []
        for sample in dataset.list_samples():
            place = int(sample.id.split("_")[1])
            image = sample.open_image()
            query = IMPLICIT_WORDING.format(number=place) if implicit else sample.query
            truth = SampleTruth.from_query(queries[place - 1], image)
            samples.append(SimulatedSample(sample.id, query, image, truth, dataset.targets[sample.id].mask()))
    return samples


@dataclass(frozen=True)
class AskedSample:
    """What a planner made of a sample."""

    iou: float
    """In [0, 1], by the official convention."""
    tokens: int
    """Of prompts, those of images included."""
    requests: int
    outcome: str


def ask_samples(
    samples: Sequence[SimulatedSample], planner: Planner, sam3: Sam3, *, budget: Budget = DEFAULT_BUDGET
) -> Iterator[AskedSample]:
    """Ask every sample and score the answer."""
    for sample in samples:
        yield score_episode(sample, run(Task(sample.image, sample.query), planner, sam3, budget=budget))


def score_episode(sample: SimulatedSample, episode: Episode) -> AskedSample:
    """Score an episode about a sample."""
    inside, joined = count_pixels(episode.answer.compute_union(), sample.target)
    usage = episode.usage
    return AskedSample(inside / joined if joined else 1.0, usage.prompt_tokens, usage.model_calls, str(episode.outcome))


def collect_truths(samples: Sequence[SimulatedSample]) -> dict[str, SampleTruth]:
    """Collect the truths of samples, by the key of their image."""
    return {sample.truth.key: sample.truth for sample in samples}
