"""Before a run: are the data complete and as published, and what will it cost?"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from agent.core.budget import FREE, Price
from agent.core.text.english import format_duration
from agent.core.usage import NO_COST, Usage
from agent.planners.loading import plans_with_model
from agent.tools import parse_toolset
from evals.datasets.loading import is_runnable
from evals.errors import DatasetError, NoTruthError
from evals.reports.summary import Costs
from evals.samples import Benchmark, Dataset, DatasetInfo, Prediction, Sample
from sam3_tool import Image
from sam3_tool.errors import UserError

MAX_NAMED_FAULTS = 5
MAX_REHEARSED_IMAGES = 4
"""Images that are opened before a run. Those of a data set are all resized, or none is."""


@dataclass(frozen=True)
class ImageCheck:
    opened: int
    broken: tuple[str, ...]
    """One line each: the file, and what is wrong with it."""

    def __str__(self) -> str:
        if not self.broken:
            return f"{self.opened:,} opened, all whole"
        more = len(self.broken) - MAX_NAMED_FAULTS
        lines = [*self.broken[:MAX_NAMED_FAULTS], *([f"and {more} more"] if more > 0 else [])]
        return f"{self.opened:,} opened, {len(self.broken):,} missing or broken: " + "; ".join(lines)


def check_images(
    samples: Sequence[Sample],
    *,
    max_images: int | None = None,
    on_progress: Callable[[str], object] = lambda text: None,
) -> ImageCheck:
    """Opens every different image; `max_images`: only so many, evenly spread."""
    images = _select_images(samples, max_images)
    with ThreadPoolExecutor() as pool:
        faults = list(_track_progress(pool.map(_find_fault, images), len(images), on_progress))
    return ImageCheck(len(images), tuple(fault for fault in faults if fault))


def _select_images(samples: Sequence[Sample], max_images: int | None) -> list[Sample]:
    """The first sample of every image; of more than `max_images`, so many, evenly spread."""
    images = list({sample.group: sample for sample in samples}.values())
    if max_images is None or max_images >= len(images):
        return images
    return [images[place * len(images) // max_images] for place in range(max_images)]


def _track_progress(faults: Iterable[str], total: int, on_progress: Callable[[str], object]) -> Iterator[str]:
    for number, fault in enumerate(faults, start=1):
        on_progress(f"opening images: {number} of {total}")
        yield fault


def _find_fault(sample: Sample) -> str:
    """Say what is wrong with a sample's image; empty if nothing is."""
    try:
        return _find_other_size(sample, sample.open_image())
    except (OSError, UserError) as error:
        return str(error)


def _find_other_size(sample: Sample, image: Image) -> str:
    """Say that an image is not as large as its ground truth; empty if it is, or if there is none that can be read."""
    try:
        size = None if sample.target is None else sample.target().shape
    except UserError:  # said by who looks at the ground truth
        return ""
    if size in (None, (image.height, image.width)):
        return ""
    return (
        f"{sample.source} is {image.width} x {image.height} pixels, the ground truth of sample {sample.id} is"
        f" {size[1]} x {size[0]}; expected the image in the size in which it was annotated"
    )


def rehearse_scoring(dataset: Dataset, samples: Sequence[Sample]) -> None:
    """Score empty answers, so that what is wrong with the ground truth is said before a sample is asked.

    Some images are opened, too: resized ones do not fit the ground truth. Images that cannot be opened are left to the
    run, in which only their samples fail. Raises UserError, as scoring would at the end of the run; NoTruthError where
    there is nothing to score against.
    """
    dataset.score([Prediction.make_failed(sample.id, "") for sample in samples])
    for sample in _select_images(samples, MAX_REHEARSED_IMAGES):
        try:
            fault = _find_other_size(sample, sample.open_image())
        except (OSError, UserError):
            continue
        if fault:
            raise DatasetError(f"{dataset.name}: {fault}")


def describe_truth(benchmark: Benchmark, samples: Sequence[Sample]) -> tuple[str, bool]:
    """Say in words whether answers can be scored, and whether that is as it should be."""
    if not is_runnable(benchmark):
        return "", True
    try:
        rehearse_scoring(benchmark, samples)
    except NoTruthError as error:
        return f"none: {error}", True
    except UserError as error:
        return f"CANNOT BE SCORED: {error}", False
    return "whole", True


def describe_dataset(dataset: Benchmark, info: DatasetInfo) -> dict[str, str]:
    """Describe the data set without opening an image, by name."""
    published = "not known" if info.published is None else f"{info.published:,}"
    same = info.published in (None, info.samples)
    direct = sum(sample.direct for sample in dataset.list_samples())
    found = {
        "data set": f"{dataset.name} {dataset.split}, task version {dataset.version}",
        "samples": f"{info.samples:,} (published: {published}{'' if same else '; THIS IS ANOTHER NUMBER'})",
        "of them asked of SAM 3 alone": f"{direct:,}" if direct else "",
        "images": f"{info.images:,}",
        "hash of the annotations": info.hash,
        "licence": info.licence,
        "home": info.source,
        "notes": " ".join(info.notes),
    }
    return {name: value for name, value in found.items() if value}


@dataclass(frozen=True)
class CostEstimate:
    """The cost of one sample."""

    usage: Usage
    seconds: float
    """Seconds with nothing else at the same time."""
    source: str
    """Where the numbers come from, in words."""
    agent_only: bool
    """True if it is the cost of a sample that goes to the agent; else it is a mean over samples of both kinds."""


# Requests and tokens are those of `python -m bench.suites.agent.toolsets`: three masks, each examined, and replies of
# 150 tokens.
# Seconds: 2 for a model call; SAM 3 as `python -m bench.suites.sam3` measures the embedded checkpoint on one CPU core.
_USAGE_BY_TOOLSET = {
    "workspace": Usage(model_calls=6, prompt_tokens=24_400, completion_tokens=900, images=7),
    "paper": Usage(model_calls=6, prompt_tokens=17_700, completion_tokens=900, images=7),
}
_SECONDS_PER_CALL, _SECONDS_PER_IMAGE = 2.0, 0.2
_SAM3_USAGE = Usage(sam_encodes=1, sam_decodes=2)
RULE_OF_THUMB = (
    "rule of thumb: three masks a query, each examined; 2 s a model call, 0.2 s an image of SAM 3 (tiny, one core)"
)


def estimate_typical_cost(planner: str, toolset: str) -> CostEstimate:
    """For a sample that goes to the agent. `planner`: as `load_planner` takes it."""
    calls = _USAGE_BY_TOOLSET[parse_toolset(toolset).prompt] if plans_with_model(planner) else NO_COST
    return CostEstimate(
        calls + _SAM3_USAGE, calls.model_calls * _SECONDS_PER_CALL + _SECONDS_PER_IMAGE, RULE_OF_THUMB, agent_only=True
    )


def estimate_from_run(costs: Costs, run_name: str) -> CostEstimate:
    """Estimate by what an earlier run spent, on samples of both kinds."""
    n = max(1, costs.samples)
    spent = costs.usage
    mean = Usage(*(getattr(spent, name) / n for name in Usage.__dataclass_fields__))
    return CostEstimate(
        mean, costs.seconds / n, f"as measured over {costs.samples:,} samples of {run_name}", agent_only=False
    )


def estimate_run(
    samples: Sequence[Sample], sample_cost: CostEstimate, *, workers: int, price: Price = FREE
) -> dict[str, str]:
    """Estimate what asking these samples will take, by name.

    Samples asked of SAM 3 alone cost no model call; a mean over both kinds counts for every sample.
    """
    of_agent = sum(not sample.direct for sample in samples)
    paid = of_agent if sample_cost.agent_only else len(samples)
    calls, prompt, completion = (
        paid * getattr(sample_cost.usage, name) for name in ("model_calls", "prompt_tokens", "completion_tokens")
    )
    seconds = paid * sample_cost.seconds + (len(samples) - paid) * _SECONDS_PER_IMAGE
    cost = paid * price.compute_cost(sample_cost.usage)
    unknown = "not known; give --price" if calls else "0"
    return {
        "samples asked": f"{len(samples):,}, {of_agent:,} of them of the agent",
        "model calls": f"about {calls:,.0f}",
        "tokens": f"about {prompt:,.0f} of prompts, {completion:,.0f} of replies",
        "time": f"about {format_duration(seconds / workers)} with {workers} at a time, if the servers keep up",
        "cost": f"about {cost:,.2f} in the currency of --price" if cost else unknown,
        "estimated by": sample_cost.source,
    }
