"""Before a run: what is missing, and what it will cost."""

from dataclasses import replace

from agent.core.budget import Price
from agent.core.usage import Usage
from evals.reports.preflight import (
    check_images,
    describe_dataset,
    estimate_from_run,
    estimate_run,
    estimate_typical_cost,
)
from evals.reports.summary import Costs
from sam3_tool import Image


def missing() -> Image:
    return Image.open("nowhere/7.jpg")


def test_every_picture_is_opened_once_and_those_that_cannot_be_are_named(world):
    samples = list(world.dataset.list_samples())
    looked = check_images([*samples, *samples, replace(samples[3], group="another", open_image=missing)])
    assert looked.opened == 13
    assert str(looked).startswith("13 opened, 1 missing or broken: nowhere/7.jpg: no such file")


def test_a_few_pictures_are_spread_over_the_data(world):
    seen = []

    def opening(sample):
        return replace(sample, open_image=lambda: seen.append(sample.id) or sample.open_image())

    looked = check_images([opening(sample) for sample in world.dataset.list_samples()], max_images=3)
    ids = [sample.id for sample in world.dataset.list_samples()]
    assert (looked.opened, sorted(seen)) == (3, sorted([ids[0], ids[4], ids[8]]))


def test_another_number_of_samples_than_published_is_shouted(world):
    facts = replace(world.dataset.collect_info(), published=400)
    assert describe_dataset(world.dataset, facts)["samples"] == "12 (published: 400; THIS IS ANOTHER NUMBER)"
    assert "ANOTHER" not in describe_dataset(world.dataset, replace(facts, published=12))["samples"]


def test_the_rule_of_thumb_counts_model_calls_only_where_a_model_plans(world):
    samples = world.dataset.list_samples()
    free = estimate_run(samples, estimate_typical_cost("grammar", "workspace"), workers=1)
    assert (free["model calls"], free["cost"]) == ("about 0", "0")
    paid = estimate_run(samples, estimate_typical_cost("openai:x", "workspace"), workers=4, price=Price(1.0, 2.0))
    assert paid["model calls"] == "about 72"
    assert paid["cost"] == f"about {12 * (24_400 + 2 * 900) / 1e6:.2f} in the currency of --price"
    assert paid["estimated by"].startswith("rule of thumb")


def test_samples_for_sam3_alone_cost_no_model_call(world):
    samples = [replace(sample, direct=number < 10) for number, sample in enumerate(world.dataset.list_samples())]
    told = estimate_run(samples, estimate_typical_cost("openai:x", "paper"), workers=1)
    assert told["samples asked"] == "12, 2 of them of the agent"
    assert told["model calls"] == "about 12"


def test_an_earlier_run_over_both_kinds_counts_for_both(world):
    samples = [replace(sample, direct=number < 9) for number, sample in enumerate(world.dataset.list_samples())]
    costs = Costs(samples=12, usage=Usage(18, 24_000, 0, 1200), money=0, seconds=60)
    told = estimate_run(samples, estimate_from_run(costs, "runs/a"), workers=1, price=Price(1000.0, 0.0))
    assert told["samples asked"] == "12, 3 of them of the agent"
    assert told["model calls"] == "about 18"
    assert told["tokens"] == "about 24,000 of prompts, 1,200 of replies"
    assert told["time"].startswith("about 1 min 0 s with 1 at a time")
    assert told["cost"] == "about 24.00 in the currency of --price"


def test_an_earlier_run_is_a_better_guide(world):
    costs = Costs(samples=4, usage=Usage(8, 4000, 0, 400), money=0, seconds=10)
    told = estimate_run(world.dataset.list_samples(), estimate_from_run(costs, "runs/a"), workers=2)
    assert told["model calls"] == "about 24"
    assert told["tokens"] == "about 12,000 of prompts, 1,200 of replies"
    assert told["time"].startswith("about 15 s with 2 at a time")
    assert told["estimated by"] == "as measured over 4 samples of runs/a"
