"""Before a run: are the data complete and as published, and what will it cost?"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from agent.budget import FREE, Price
from agent.episode import NO_COST, Usage
from agent.load import MODELS
from evals.progress import in_words
from evals.samples import Benchmark, Facts, Sample
from evals.summary import Costs
from sam3_tool import PictureError

MOST_NAMED = 5


@dataclass(frozen=True)
class PictureCheck:
    opened: int
    broken: tuple[str, ...]
    """One line each: the file, and what is wrong with it."""

    def __str__(self) -> str:
        if not self.broken:
            return f"{self.opened:,} opened, all whole"
        more = len(self.broken) - MOST_NAMED
        lines = [*self.broken[:MOST_NAMED], *([f"and {more} more"] if more > 0 else [])]
        return f"{self.opened:,} opened, {len(self.broken):,} missing or broken: " + "; ".join(lines)


def check_pictures(
    samples: Sequence[Sample], *, most: int | None = None, now: Callable[[str], object] = lambda text: None
) -> PictureCheck:
    """Opens every different picture; `most`: only so many, evenly spread."""
    pictures = list({sample.group: sample for sample in samples}.values())
    if most is not None and most < len(pictures):
        pictures = [pictures[place * len(pictures) // most] for place in range(most)]
    with ThreadPoolExecutor() as pool:
        faults = list(_counted(pool.map(_fault, pictures), len(pictures), now))
    return PictureCheck(len(pictures), tuple(fault for fault in faults if fault))


def _counted(faults: Iterable[str], all: int, now: Callable[[str], object]) -> Iterator[str]:
    for number, fault in enumerate(faults, start=1):
        now(f"opening pictures: {number} of {all}")
        yield fault


def _fault(sample: Sample) -> str:
    """What is wrong with a sample's picture; empty if nothing is."""
    try:
        sample.open()
    except (OSError, PictureError) as error:
        return str(error)
    return ""


def describe(dataset: Benchmark, facts: Facts) -> dict[str, str]:
    """What is known without opening a picture, by name."""
    published = "not known" if facts.published is None else f"{facts.published:,}"
    same = facts.published in (None, facts.samples)
    direct = sum(sample.direct for sample in dataset.samples())
    found = {
        "data set": f"{dataset.name} {dataset.split}, task version {dataset.version}",
        "samples": f"{facts.samples:,} (published: {published}{'' if same else '; THIS IS ANOTHER NUMBER'})",
        "of them asked of SAM 3 alone": f"{direct:,}" if direct else "",
        "pictures": f"{facts.pictures:,}",
        "hash of the annotations": facts.hash,
        "licence": facts.licence,
        "home": facts.home,
        "notes": " ".join(facts.notes),
    }
    return {name: value for name, value in found.items() if value}


@dataclass(frozen=True)
class Rate:
    """What one sample costs."""

    usage: Usage
    seconds: float
    """With nothing else at the same time."""
    source: str
    """Where the numbers come from, in words."""
    of_agent: bool
    """Of a sample that goes to the agent; otherwise a mean over samples of both kinds."""


# Requests and tokens: `python -m bench.protocols`, an episode with three masks, each examined; replies of 150 tokens.
# Seconds: 2 for a model call; SAM 3 as `python -m bench.sam3` measures the embedded checkpoint on one CPU core.
_CALLS = {
    "workspace": Usage(model_calls=6, prompt_tokens=24_400, completion_tokens=900, images=7),
    "paper": Usage(model_calls=6, prompt_tokens=17_700, completion_tokens=900, images=7),
}
_SECONDS_A_CALL, _SECONDS_A_PICTURE = 2.0, 0.2
_SAM3 = Usage(sam_encodes=1, sam_decodes=2)
RULE = "rule of thumb: three masks a query, each examined; 2 s a model call, 0.2 s a picture of SAM 3 (tiny, one core)"


def rule_of_thumb(planner: str, protocol: str) -> Rate:
    """For a sample that goes to the agent. `planner`: as `load_planner` takes it."""
    kind = planner.partition(":")[0]
    calls = _CALLS[protocol] if kind in MODELS else NO_COST
    return Rate(calls + _SAM3, calls.model_calls * _SECONDS_A_CALL + _SECONDS_A_PICTURE, RULE, of_agent=True)


def measured(costs: Costs, run: str) -> Rate:
    """As an earlier run went; its samples of both kinds together."""
    n = max(1, costs.samples)
    spent = costs.usage
    mean = Usage(*(getattr(spent, name) / n for name in Usage.__dataclass_fields__))
    return Rate(mean, costs.seconds / n, f"as measured over {costs.samples:,} samples of {run}", of_agent=False)


def estimate(samples: Sequence[Sample], rate: Rate, *, workers: int, price: Price = FREE) -> dict[str, str]:
    """What asking these samples will take, by name. Samples asked of SAM 3 alone cost no model call; a mean over both
    kinds counts for every sample."""
    of_agent = sum(not sample.direct for sample in samples)
    paid = of_agent if rate.of_agent else len(samples)
    calls, prompt, completion = (
        paid * getattr(rate.usage, name) for name in ("model_calls", "prompt_tokens", "completion_tokens")
    )
    seconds = paid * rate.seconds + (len(samples) - paid) * _SECONDS_A_PICTURE
    cost = paid * price.of(rate.usage)
    unknown = "not known; give --price" if calls else "0"
    return {
        "samples asked": f"{len(samples):,}, {of_agent:,} of them of the agent",
        "model calls": f"about {calls:,.0f}",
        "tokens": f"about {prompt:,.0f} of prompts, {completion:,.0f} of replies",
        "time": f"about {in_words(seconds / workers)} with {workers} at a time, if the servers keep up",
        "cost": f"about {cost:,.2f} in the currency of --price" if cost else unknown,
        "estimated by": rate.source,
    }
