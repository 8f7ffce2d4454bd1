"""The simulated model errs as its profile says, from what a request shows, and lands on the published numbers."""

import gc
import json
from collections import Counter

import numpy as np
import pytest

from agent import Task, run
from agent.core.workspace import Workspace
from agent.models.base import Message
from agent.planners.chat.planner import ChatPlanner
from agent.planners.chat.views import draw_overlay, draw_sheet, find_shown_masks, zoom_to_mask
from agent.tools import PAPER, WORKSPACE
from evals.simulation.chance import CorrelatedChance
from evals.simulation.fitting import PUBLISHED, fit_skill, measure_perfect_choice, measure_segmenter
from evals.simulation.model import SimulatedModel
from evals.simulation.profile import PROFILES_PATH, Profile, load_profiles
from evals.simulation.samples import ask_samples, collect_truths, draw_samples
from evals.simulation.segmenter import SimulatedSegmenter, spoil_outline
from sam3_tool import ConceptPrompt, Image, Sam3
from sam3_tool.masks.rle import compute_ious

FLAWLESS = Profile("flawless", skill=8.0)
POOR = Profile("poor", skill=-0.6)


@pytest.fixture(scope="module")
def samples():
    return draw_samples(14, seed=3, sizes=((160, 120),))


@pytest.fixture(scope="module")
def truths(samples):
    return collect_truths(samples)


@pytest.fixture(scope="module")
def sam3(truths):
    return Sam3(SimulatedSegmenter(truths))


def find_masks(sample, sam3, phrase="thing"):
    """A workspace with whatever the segmenter finds under a phrase."""
    found = sam3.segment_batch([(sample.image, ConceptPrompt(phrase, threshold=0.0))])[0]
    return Workspace(sample.image.height, sample.image.width).with_search(found)


# --- chance -----------------------------------------------------------------------------------------------------------


def test_errors_in_two_ways_of_asking_have_the_correlation_that_is_asked_for():
    for wanted in (0.0, 0.6, 1.0):
        chance = CorrelatedChance(1, wanted)
        pairs = np.array([[chance.draw_normal(f"mask {k}", how) for how in ("far", "near")] for k in range(3000)])
        assert np.corrcoef(pairs.T)[0, 1] == pytest.approx(wanted, abs=0.06)
        assert pairs.std() == pytest.approx(1.0, abs=0.05)


def test_a_correlation_that_cannot_be_is_refused():
    with pytest.raises(ValueError, match="must be in"):
        CorrelatedChance(0, 1.5)


# --- what an image shows ----------------------------------------------------------------------------------------------


def test_what_was_drawn_on_an_image_is_known_and_keeps_no_image_alive(samples, sam3):
    sample = samples[0]
    raw = Image(sample.image.pixels.copy())
    [first, *_] = masks = find_masks(sample, sam3).candidates
    drawn = {
        "overlay": draw_overlay(raw, masks, [one.id for one in masks], 1280),
        "close-up": zoom_to_mask(raw, first, 7, 1280),
        "sheet": draw_sheet(raw, [first], [7], 640),
    }
    shown = {kind: find_shown_masks(image) for kind, image in drawn.items()}
    assert {kind: found.kind for kind, found in shown.items()} == {kind: kind for kind in drawn}
    assert shown["overlay"].candidates == masks
    assert shown["sheet"].numbers == (7,)
    assert find_shown_masks(raw) is None
    del raw, drawn
    gc.collect()
    assert shown["sheet"].raw() is None


def test_a_request_without_an_image_of_a_sample_is_refused(truths):
    model = SimulatedModel(truths, FLAWLESS)
    with pytest.raises(KeyError, match="no image of the samples"):
        model.generate_replies([[Message("user", ("the cup",))]], [])


# --- errors -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("toolset", [PAPER, WORKSPACE])
def test_a_flawless_model_finds_what_is_meant_and_a_poor_one_seldom(samples, truths, sam3, toolset):
    means = [
        np.mean([one.iou for one in ask_samples(samples, planner, sam3)])
        for planner in (ChatPlanner(SimulatedModel(truths, who), toolset=toolset) for who in (FLAWLESS, POOR))
    ]
    assert means[0] > 0.65 > means[1] + 0.1


def test_equal_requests_have_equal_replies_and_another_seed_errs_elsewhere(samples, truths, sam3):
    def ask(seed):
        planner = ChatPlanner(SimulatedModel(truths, POOR, seed), toolset=PAPER)
        return [run(Task(one.image, one.query), planner, sam3) for one in samples[:4]]

    def list_decisions(episodes):
        return [[(step.decision.tool, step.decision.arguments) for step in one.steps] for one in episodes]

    first = list_decisions(ask(0))
    assert list_decisions(ask(0)) == first != list_decisions(ask(1))


def test_every_kind_of_error_occurs(samples, truths, sam3):
    model = SimulatedModel(truths, Profile("poor", skill=-0.8), 1)
    episodes = [run(Task(one.image, one.query), ChatPlanner(model, toolset=PAPER), sam3) for one in samples]
    said = Counter(step.decision.tool for episode in episodes for step in episode.steps)
    assert said[""]
    assert said["report_no_mask"]
    assert said["select_masks_and_return"]
    asked = {search.phrase for episode in episodes for search in episode.searches}
    nouns = {thing.noun for one in samples for thing in one.truth.objects}
    assert asked - nouns


def test_verdicts_err_more_where_a_mask_is_shown_small(samples, truths, sam3):
    profile = Profile("some", skill=0.2)
    wrong = {"far": 0, "near": 0}
    for seed, sample in ((seed, sample) for seed in range(2) for sample in samples[:7]):
        workspace = find_masks(sample, sam3)
        planner = ChatPlanner(SimulatedModel(truths, profile, seed), toolset=WORKSPACE)
        episode = begin_episode(sample, workspace)
        for how, closely in (("far", False), ("near", True)):
            for verdict in planner.examine(episode, [one.id for one in workspace], closely=closely):
                fit = sample.truth.measure_fit(workspace[verdict.id].rle, sample.truth.targets)
                wrong[how] += verdict.accept != (fit > 0.5)
    assert wrong["far"] > wrong["near"] > 0


def begin_episode(sample, workspace):
    from agent import Decision, Episode
    from agent.core.episode import Observation, Step

    return Episode(Task(sample.image, sample.query)).append(
        Step(Decision("segment", '{"phrases": ["thing"]}'), Observation("Found.", workspace=workspace))
    )


# --- the segmenter ----------------------------------------------------------------------------------------------------


def test_an_outline_is_spoiled_as_far_as_is_asked_for(samples):
    masks = [mask for sample in samples for mask in sample.truth.rles]
    for wanted in (0.6, 0.9):
        found = [compute_ious([spoil_outline(mask, wanted, seed)], [mask])[0, 0] for seed, mask in enumerate(masks)]
        assert np.mean(found) == pytest.approx(wanted, abs=0.05)


def test_the_segmenter_finds_nothing_in_an_unknown_image(sam3):
    blank = Image(np.zeros((120, 160, 3), np.uint8))
    assert len(sam3.segment_batch([(blank, ConceptPrompt("circle"))])[0]) == 0


def test_the_segmenter_is_far_from_perfect(samples):
    assert measure_segmenter(samples)["pmF1"] < 80
    assert measure_perfect_choice(samples) < 92


# --- the fit ----------------------------------------------------------------------------------------------------------


def test_a_skill_is_read_off_the_measured_curve():
    assert fit_skill({0.0: 60.0, 0.5: 64.0, 1.0: 70.0}, 67.0) == 0.75
    with pytest.raises(ValueError, match="not within the measured"):
        fit_skill({0.0: 60.0, 1.0: 70.0}, 99.0)


def test_the_committed_profiles_are_within_one_point_of_the_published_numbers():
    rows = json.loads(PROFILES_PATH.read_text("utf-8"))["profiles"]
    assert {row["name"]: row["published"] for row in rows} == PUBLISHED
    assert all(abs(row["simulated"] - row["published"]) <= 1 for row in rows)
    assert [profile.skill for profile in load_profiles().values()] == [row["skill"] for row in rows]
