from dataclasses import replace

import pytest

from agent import Budget, Decision, Episode, ScriptedPlanner, Task, Usage, run, watch
from agent.core.errors import FailedCallError, PlannerError
from agent.report.result import Result
from agent.tools.toolsets import Answer, Examine, Locate, ReportNoMask, Segment
from sam3_tool import Sam3
from sam3_tool.backends.scripted import ScriptedBackend
from sam3_tool.errors import CheckpointError, DeviceError, UserError

CUPS = Segment(phrases=["red cup"])


def test_an_episode_goes_on_until_a_tool_ends_it(kitchen, kitchen_sam3):
    planner = ScriptedPlanner([CUPS, Answer(ids=[1, 3])])
    episode = run(Task(kitchen, "the outer cups"), planner, kitchen_sam3)
    assert (episode.outcome, episode.current_ids, len(episode.steps)) == ("answered", (1, 3), 2)
    assert episode.answer.boxes.tolist() == [[5, 20, 15, 30], [55, 20, 75, 30]]
    assert episode.message == "2 masks."


def test_a_run_that_hangs_says_in_the_log_at_which_step_it_is(kitchen, kitchen_sam3, caplog):
    caplog.set_level("DEBUG", logger="agent.loop")
    run(Task(kitchen, "q"), ScriptedPlanner([CUPS, Answer(ids=[1])]), kitchen_sam3)
    assert [record.getMessage() for record in caplog.records] == [
        "step 1: the planner decides",
        "step 1: `segment` runs",
        "step 2: the planner decides",
        "step 2: `answer` runs",
    ]


def test_a_mistake_is_shown_to_the_planner_and_the_episode_goes_on(kitchen, kitchen_sam3):
    script = [Decision("look", "{}"), Decision("segment", '{"phrases": ['), CUPS, Answer(ids=[7]), Answer(ids=[2])]
    episode = run(Task(kitchen, "q"), ScriptedPlanner(script), kitchen_sam3)
    first, second, _, fourth, last = (step.observation for step in episode.steps)
    assert first.text.startswith("There is no tool 'look'; call exactly one of segment, refine, relate,")
    assert "are not JSON" in second.text
    assert fourth.text == "There is no mask 7; the valid numbers are 1 to 3."
    assert [first.is_error, second.is_error, fourth.is_error, last.is_error] == [True, True, True, False]
    assert (episode.outcome, episode.current_ids) == ("answered", (2,))


def test_a_planner_that_cannot_go_on_ends_the_episode_with_its_best_answer(kitchen, kitchen_sam3):
    episode = run(Task(kitchen, "q"), ScriptedPlanner([CUPS, Segment(phrases=["plate"])]), kitchen_sam3)
    assert (episode.outcome, episode.current_ids, len(episode.steps)) == ("failed", (1, 2, 3), 2)
    assert episode.message.endswith(
        " Stopped because the planner cannot go on: the script ended after 2 calls, before the episode did;"
        " the best answer so far is 3 masks: 1 to 3."
    )


def test_a_planner_that_cannot_even_begin_is_an_error(kitchen, kitchen_sam3):
    with pytest.raises(PlannerError, match="the script ended after 0 calls"):
        run(Task(kitchen, "q"), ScriptedPlanner([]), kitchen_sam3)


class Unreachable(ScriptedPlanner):
    """Its model cannot be asked about masks."""

    def examine(self, episode, ids, *, closely=False):
        raise PlannerError("the server does not answer")


def test_a_planner_that_cannot_judge_masks_ends_the_episode_with_them(kitchen, kitchen_sam3):
    episode = run(Task(kitchen, "q"), Unreachable([CUPS, Examine(ids=[1, 2])]), kitchen_sam3)
    assert (episode.outcome, episode.current_ids, len(episode.steps)) == ("failed", (1, 2, 3), 2)
    assert "the planner cannot go on: the server does not answer;" in episode.message


class Failing(ScriptedBackend):
    """Answers so many times, then fails."""

    error: Exception = RuntimeError(
        "CUDA error: unspecified launch failure\nCUDA kernel errors might be reported later"
    )
    answers = 0

    def decode(self, embeddings, prompts):
        if self.answers == 0:
            raise self.error
        self.answers -= 1
        return super().decode(embeddings, prompts)


@pytest.fixture
def failing_sam3(cups):
    def failing_sam3(error: Exception, *, answers: int) -> Sam3:
        backend = Failing({None: {"red cup": cups}})
        backend.error, backend.answers = error, answers
        return Sam3(backend)

    return failing_sam3


FAILURES = [
    RuntimeError("CUDA error: unspecified launch failure\nCUDA kernel errors might be reported later"),
    MemoryError(),
    ConnectionResetError(104, "Connection reset by peer"),
    DeviceError("SAM 3 ran out of memory on device 'cuda'; give a smaller image"),
    CheckpointError("the recording holds no answer to 'plate'"),
    TypeError("decode() got an unexpected keyword"),
    KeyError("masks"),
]


@pytest.mark.parametrize("error", FAILURES, ids=lambda error: type(error).__name__)
def test_a_sam_3_that_fails_later_ends_the_episode_with_its_best_answer(kitchen, failing_sam3, caplog, error):
    asked = replace(Segment(phrases=["plate"]).to_decision(), usage=Usage(model_calls=1, prompt_tokens=300))
    episode = run(Task(kitchen, "q"), ScriptedPlanner([CUPS, asked]), failing_sam3(error, answers=1))
    assert (episode.outcome, episode.current_ids, len(episode.answer)) == ("failed", (1, 2, 3), 3)
    assert episode.message.startswith("`segment` gave no result. Stopped because `segment` ")
    assert episode.message.endswith("; the best answer so far is 3 masks: 1 to 3.")
    assert " ".join(str(error).split()) in episode.message
    assert "\n" not in episode.message
    assert episode.usage.prompt_tokens == 300, "what the call cost is not lost"
    assert [len(record.exc_info or ()) for record in caplog.records] == [3] * (not isinstance(error, UserError))
    result = Result.from_episode(episode, seconds=1.0)
    assert (result.count, result.outcome, result.message) == (3, "failed", episode.message)


@pytest.mark.parametrize("error", FAILURES, ids=lambda error: type(error).__name__)
def test_a_sam_3_that_fails_at_once_is_one_line_unless_it_is_a_defect(kitchen, failing_sam3, caplog, error):
    expected = type(error) if isinstance(error, UserError | TypeError | KeyError) else FailedCallError
    with pytest.raises(expected) as raised:
        run(Task(kitchen, "q"), ScriptedPlanner([CUPS]), failing_sam3(error, answers=0))
    if expected is not FailedCallError:
        assert raised.value is error
        assert not caplog.records
        return
    assert (raised.value.exit_code, raised.value.__cause__) == (1, error)
    assert "\n" not in str(raised.value)
    assert type(error).__name__ in str(raised.value)
    assert caplog.records[0].exc_info, "the log has the traceback"


def test_a_sam_3_that_fails_before_anything_was_found_says_so(kitchen, failing_sam3):
    script = [Segment(phrases=["plate"]), Segment(phrases=["cup"])]
    episode = run(Task(kitchen, "q"), ScriptedPlanner(script), failing_sam3(DeviceError("full"), answers=1))
    assert (episode.outcome, episode.current_ids) == ("failed", ())
    assert episode.message.endswith("cannot go on: full; nothing was found so far.")


def test_watch_yields_the_episode_after_every_step_and_the_last_one_has_the_outcome(kitchen, kitchen_sam3):
    seen = list(
        watch(Task(kitchen, "q"), ScriptedPlanner([CUPS, CUPS, CUPS]), kitchen_sam3, budget=Budget(max_steps=3))
    )
    assert [len(episode.steps) for episode in seen] == [1, 2, 3]
    assert [episode.outcome for episode in seen] == [None, None, "step_limit"]
    assert [len(episode.workspace) for episode in seen] == [3, 3, 3]


def test_at_the_step_limit_what_was_shown_last_is_the_answer(play):
    episode = play(CUPS, Locate(ids=[1, 2, 3], place="left"))
    assert (episode.outcome, episode.current_ids) == ("step_limit", (1, 2))
    assert episode.message == (
        "2 of 3 masks are in the left of the picture: 1 and 2."
        " Stopped at the limit of 2 steps; the best answer so far is 2 masks: 1 and 2."
    )


def test_a_dead_end_before_the_limit_does_not_lose_what_was_found(play):
    episode = play(CUPS, Segment(phrases=["plate"]), Locate(ids=[1], place="bottom"))
    assert (episode.outcome, episode.current_ids, len(episode.answer)) == ("step_limit", (1, 2, 3), 3)


def test_a_mistake_as_the_last_step_does_not_lose_what_was_found(play):
    episode = play(CUPS, Decision("", ""))
    assert (episode.outcome, episode.current_ids) == ("step_limit", (1, 2, 3))
    assert episode.steps[-1].observation.is_error


def test_nothing_found_within_the_limit_is_an_empty_answer_that_says_so(play):
    episode = play(Segment(phrases=["plate"]))
    assert (episode.outcome, episode.current_ids, len(episode.answer)) == ("step_limit", (), 0)
    assert episode.message.endswith("Stopped at the limit of 1 step; nothing was found so far.")


def test_a_tool_that_ends_the_episode_at_the_limit_keeps_its_outcome(play):
    assert play(CUPS, Answer(ids=[1])).outcome == "answered"
    assert play(ReportNoMask()).outcome == "no_match"


def test_every_cost_is_counted(kitchen, kitchen_sam3):
    asked = replace(CUPS.to_decision(), usage=Usage(model_calls=2, prompt_tokens=300))
    episode = run(Task(kitchen, "q"), ScriptedPlanner([asked, Answer(ids=[1])]), kitchen_sam3)
    usage = episode.usage
    assert (usage.model_calls, usage.prompt_tokens, usage.sam_encodes, usage.sam_decodes) == (2, 300, 1, 1)
    assert usage.seconds == sum(step.seconds for step in episode.steps) > 0


def test_one_planner_may_serve_many_episodes(kitchen, kitchen_sam3):
    planner = ScriptedPlanner([CUPS, Answer(ids=[2])])
    episodes: list[Episode] = [run(Task(kitchen, "q"), planner, kitchen_sam3) for _ in range(3)]
    assert [episode.current_ids for episode in episodes] == [(2,)] * 3
