import pytest

from agent import (
    PAPER,
    Budget,
    Decision,
    PlannerError,
    ReplayPlanner,
    ScriptedPlanner,
    Task,
    Usage,
    Verdict,
    run,
    watch,
)
from agent.planners.loading import load_planner
from agent.records.episode_file import save_episode
from agent.records.provenance import Provenance
from agent.tools.paper import ExamineEachMask, SelectMasksAndReturn
from agent.tools.toolsets import Answer, Examine, Locate, Segment

CUPS = Segment(phrases=["red cup"])


def test_a_script_holds_calls_and_decisions_as_they_come(kitchen, kitchen_sam3):
    planner = ScriptedPlanner([CUPS, Decision("answer", '{"ids": "2"}', "the second")])
    episode = run(Task(kitchen, "q"), planner, kitchen_sam3)
    assert [step.decision.thought for step in episode.steps] == ["", "the second"]
    assert episode.current_ids == (2,)


def test_a_line_of_a_script_may_follow_from_the_episode_so_far(kitchen, kitchen_sam3):
    planner = ScriptedPlanner([CUPS, lambda episode: Answer(ids=[max(episode.current_ids)])])
    assert run(Task(kitchen, "q"), planner, kitchen_sam3).current_ids == (3,)


def test_a_script_that_is_too_short_says_so(kitchen, kitchen_sam3):
    episode = run(Task(kitchen, "q"), ScriptedPlanner([CUPS]), kitchen_sam3)
    assert (episode.outcome, episode.current_ids) == ("failed", (1, 2, 3))
    assert "the script ended after 1 call, before the episode did" in episode.message


def test_verdicts_are_scripted_by_number(kitchen, kitchen_sam3):
    verdicts = ScriptedPlanner([], rejects=[2]).examine(None, [1, 2])
    assert verdicts == [Verdict(1, accept=True, probability=1.0), Verdict(2, accept=False, probability=0.0)]


def test_verdicts_may_be_scripted_word_for_word():
    said = Verdict(2, accept=True, probability=0.7, reason="it is red", usage=Usage(model_calls=1))
    assert ScriptedPlanner([], verdicts=[said]).examine(None, [1, 2], closely=True) == [said]


def test_a_replay_judges_in_the_words_of_the_record_and_at_no_cost(kitchen, kitchen_sam3):
    said = [
        Verdict(1, accept=True, probability=0.9, reason="It is red.", usage=Usage(model_calls=2)),
        Verdict(3, accept=False, probability=0.2, reason="It is cut off."),
    ]
    script = [CUPS, Examine(ids=[1, 2, 3], closely=True), Answer(ids=[1, 2])]
    recorded = run(Task(kitchen, "q"), ScriptedPlanner(script, verdicts=said), kitchen_sam3)
    replayed = run(recorded.task, ReplayPlanner(recorded), kitchen_sam3)
    assert [step.observation.text for step in replayed.steps] == [step.observation.text for step in recorded.steps]
    assert replayed.reasons == recorded.reasons == {1: "It is red."}
    assert (recorded.usage.model_calls, replayed.usage.model_calls) == (2, 0)


def test_a_replay_beyond_a_record_that_time_cut_short_ends_with_its_best_answer(kitchen, kitchen_sam3):
    slow = ScriptedPlanner([CUPS, Locate(ids=[1, 2, 3], place="left"), Answer(ids=[1])])
    *_, begun, _ = watch(Task(kitchen, "q"), slow, kitchen_sam3)
    recorded = Budget(max_seconds=1e-9).enforce(begun)
    assert recorded.outcome == "budget"
    replayed = run(recorded.task, ReplayPlanner(recorded), kitchen_sam3)
    assert (replayed.outcome, replayed.current_ids) == ("failed", recorded.current_ids) == ("failed", (1, 2))


def test_a_recorded_episode_replays_to_the_same_answer_without_its_model_calls(kitchen, kitchen_sam3):
    script = [
        Decision("segment_phrase", '{"text_prompt": "red cup"}', usage=Usage(model_calls=1)),
        ExamineEachMask(),
        SelectMasksAndReturn(final_answer_masks=[1]),
    ]
    recorded = run(Task(kitchen, "q"), ScriptedPlanner(script, toolset=PAPER, rejects=[1]), kitchen_sam3)
    replayed = run(recorded.task, ReplayPlanner(recorded, toolset=PAPER), kitchen_sam3)
    assert [step.observation.text for step in replayed.steps] == [step.observation.text for step in recorded.steps]
    assert (replayed.outcome, replayed.current_ids) == ("answered", (2,))
    assert (recorded.usage.model_calls, replayed.usage.model_calls) == (1, 0)


def test_a_replay_of_other_masks_than_recorded_still_runs(kitchen, kitchen_sam3):
    recorded = run(Task(kitchen, "q"), ScriptedPlanner([CUPS, Answer(ids=[3])]), kitchen_sam3)
    again = ReplayPlanner(recorded)
    assert run(Task(kitchen, "another query"), again, kitchen_sam3).current_ids == (3,)


def test_a_saved_episode_is_replayed_from_its_file(kitchen, kitchen_sam3, tmp_path):
    recorded = run(Task(kitchen, "q"), ScriptedPlanner([CUPS, Answer(ids=[3, 1])]), kitchen_sam3)
    save_episode(recorded, tmp_path / "episode.json", provenance=Provenance(planner="scripted", sam3=kitchen_sam3.name))
    replayed = run(recorded.task, load_planner(f"replay:{tmp_path / 'episode.json'}"), kitchen_sam3)
    assert (replayed.outcome, replayed.current_ids) == ("answered", (3, 1))


def test_a_file_that_cannot_be_replayed_is_named(tmp_path):
    missing, broken = tmp_path / "missing.json", tmp_path / "broken.json"
    broken.write_text("{")
    for file in (missing, broken):
        with pytest.raises(PlannerError, match=file.name) as error:
            load_planner(f"replay:{file}")
        assert "\n" not in str(error.value)
