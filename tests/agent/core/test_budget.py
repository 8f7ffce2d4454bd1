"""What an episode may cost: every limit ends it with the best answer so far, and says so."""

from dataclasses import replace

import pytest

from agent import Budget, Decision, Price, ScriptedPlanner, Task, Usage, Verdict, run, watch
from agent.tools.toolsets import Answer, Examine, Segment

CUPS = Segment(phrases=["red cup"])
SLIP = Decision("look", "{}")


def asked(call, **usage):
    """The call, made by a language model at this cost."""
    return replace(call.to_decision(), usage=Usage(**usage))


@pytest.fixture
def spend(kitchen, kitchen_sam3):
    """The episode of a script of calls within a budget."""

    def spend(*script, budget, verdicts=None):
        return run(Task(kitchen, "q"), ScriptedPlanner(script, verdicts=verdicts), kitchen_sam3, budget=budget)

    return spend


def test_the_budget_of_sam_calls_ends_an_episode_even_when_one_step_oversteps_it(kitchen, kitchen_sam3):
    planner = ScriptedPlanner([Segment(phrases=["red cup", "saucer", "plate"]), CUPS])
    episode = run(Task(kitchen, "q"), planner, kitchen_sam3, budget=Budget(max_sam_calls=2))
    assert (episode.outcome, len(episode.steps), episode.current_ids) == ("budget", 1, (1, 2, 3, 4))
    assert "Stopped at the limit of 2 phrases for SAM 3" in episode.message


def test_the_budget_of_seconds_ends_an_episode_with_its_best_answer(kitchen, kitchen_sam3):
    episode = run(Task(kitchen, "q"), ScriptedPlanner([CUPS] * 5), kitchen_sam3, budget=Budget(max_seconds=1e-9))
    assert (episode.outcome, len(episode.steps), episode.current_ids) == ("budget", 1, (1, 2, 3))


def test_an_episode_that_is_beyond_a_limit_is_closed_too(kitchen, kitchen_sam3):
    *_, episode = watch(Task(kitchen, "q"), ScriptedPlanner([CUPS] * 4), kitchen_sam3, budget=Budget(max_steps=4))
    running = replace(episode, outcome=None)
    assert Budget(max_steps=2).enforce(running).outcome == "step_limit"


@pytest.mark.parametrize(
    "limits", [{"max_steps": 0}, {"max_seconds": -1.0}, {"max_sam_calls": 0}, {"max_cost": 0}, {"max_repairs": 0}]
)
def test_a_budget_of_nothing_is_refused(limits):
    with pytest.raises(ValueError, match="must be positive"):
        Budget(**limits)


def test_the_budget_of_model_calls_counts_examinations_too(spend):
    verdicts = [Verdict(1, accept=True, probability=0.9, usage=Usage(model_calls=2)), Verdict(2, False, 0.1)]
    script = [asked(CUPS, model_calls=1), asked(Examine(ids=[1, 2]), model_calls=1), Answer(ids=[1, 2])]
    episode = spend(*script, budget=Budget(max_model_calls=4), verdicts=verdicts)
    assert (episode.outcome, len(episode.steps), episode.current_ids) == ("budget", 2, (1,))
    assert episode.usage.model_calls == 4
    assert "Stopped at the limit of 4 model calls; the best answer so far is 1 mask: 1." in episode.message


def test_an_answer_is_an_answer_even_if_it_spends_the_last_of_the_budget(spend):
    episode = spend(asked(CUPS, model_calls=1), asked(Answer(ids=[2]), model_calls=1), budget=Budget(max_model_calls=2))
    assert (episode.outcome, episode.current_ids) == ("answered", (2,))


def test_the_budget_of_tokens_counts_prompts_and_completions(spend):
    call = asked(CUPS, prompt_tokens=300, cached_tokens=299, completion_tokens=20)
    assert len(spend(call, call, Answer(ids=[1]), budget=Budget(max_tokens=640)).steps) == 2
    episode = spend(call, call, Answer(ids=[1]), budget=Budget(max_tokens=641))
    assert (episode.outcome, len(episode.steps)) == ("answered", 3)


def test_the_budget_of_money_ends_an_episode_and_names_the_limit(spend):
    call = asked(CUPS, prompt_tokens=1_000_000)
    episode = spend(call, call, budget=Budget(max_cost=0.5, price=Price(prompt=0.25)))
    assert (episode.outcome, len(episode.steps), episode.current_ids) == ("budget", 2, (1, 2, 3))
    assert "Stopped at the limit of a cost of 0.5;" in episode.message


@pytest.mark.parametrize(
    ("price", "cost"),
    [(Price(), 0.0), (Price(2.0, 8.0), 2.8), (Price(2.0, 8.0, 0.5), 1.6), (Price(cached=1.0), 0.8)],
)
def test_cached_tokens_have_a_price_of_their_own_or_that_of_any_other(price, cost):
    usage = Usage(prompt_tokens=1_000_000, cached_tokens=800_000, completion_tokens=100_000)
    assert price.compute_cost(usage) == pytest.approx(cost)


def test_with_one_mistake_in_a_row_too_many_the_planner_is_given_up(spend):
    episode = spend(CUPS, *[SLIP] * 4, Answer(ids=[1]), budget=Budget(max_repairs=3))
    assert (episode.outcome, len(episode.steps), episode.current_ids) == ("failed", 5, (1, 2, 3))
    assert "There is no tool 'look'" in episode.message
    assert episode.message.endswith("Stopped after 4 mistakes in a row; the best answer so far is 3 masks: 1 to 3.")


def test_as_many_mistakes_as_may_be_repaired_are_repaired(spend):
    episode = spend(CUPS, *[SLIP] * 3, Answer(ids=[1]), budget=Budget(max_repairs=3))
    assert (episode.outcome, len(episode.steps)) == ("answered", 5)


def test_a_success_makes_the_count_of_mistakes_begin_anew(spend):
    episode = spend(*[SLIP] * 3, CUPS, *[SLIP] * 3, CUPS, Answer(ids=[1]), budget=Budget(max_repairs=3))
    assert (episode.outcome, len(episode.steps)) == ("answered", 9)


def test_nothing_but_mistakes_is_a_failure_without_masks(spend):
    episode = spend(*[SLIP] * 2, budget=Budget(max_repairs=1))
    assert (episode.outcome, episode.current_ids) == ("failed", ())
    assert episode.message.endswith("Stopped after 2 mistakes in a row; nothing was found so far.")
