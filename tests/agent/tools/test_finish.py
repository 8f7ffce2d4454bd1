"""How an episode ends by a tool, and what the user learns then."""

import pytest

from agent import PAPER, Verdict
from agent.report.result import Result
from agent.tools.paper import ExamineEachMask, SegmentPhrase, SelectMasksAndReturn
from agent.tools.toolsets import Answer, AskUser, Examine, Locate, Segment

CUPS = Segment(phrases=["red cup"])
VERDICTS = (
    Verdict(1, accept=True, probability=0.9, reason="by its handle"),
    Verdict(2, accept=False, probability=0.2, reason="it is a bowl"),
    Verdict(3, accept=True, probability=0.8),
)


def reasons_in_result(episode):
    return {mask.id: mask.reason for mask in Result.from_episode(episode, seconds=1.0).masks}


def test_the_answer_says_of_each_mask_why_it_is_there(play):
    episode = play(CUPS, Answer(ids=[3, 1], reasons=[{"id": 1, "reason": "red"}, {"id": 3, "reason": "red too"}]))
    assert episode.reasons == {1: "red", 3: "red too"}
    assert reasons_in_result(episode) == {3: "red too", 1: "red"}


def test_a_reason_for_a_mask_that_does_not_exist_is_passed_over(play):
    episode = play(CUPS, Answer(ids=[1], reasons={"1": "red", "2": "not this one", "9": "?"}))
    assert (episode.outcome, episode.reasons) == ("answered", {1: "red", 2: "not this one"})
    assert reasons_in_result(episode) == {1: "red"}


def test_where_the_answer_gives_no_reason_the_verdict_that_accepted_the_mask_does(play):
    script = [CUPS, Examine(ids=[1, 2, 3]), Answer(ids=[1, 2, 3], reasons={"3": "by its colour"})]
    episode = play(*script, verdicts=VERDICTS)
    assert reasons_in_result(episode) == {1: "by its handle", 2: "", 3: "by its colour"}


def test_in_the_published_protocol_the_verdicts_give_the_reasons(play):
    script = [SegmentPhrase(text_prompt="red cup"), ExamineEachMask(), SelectMasksAndReturn(final_answer_masks=[1, 2])]
    assert reasons_in_result(play(*script, toolset=PAPER, verdicts=VERDICTS)) == {1: "by its handle", 3: ""}


def test_a_question_ends_the_episode_with_its_options_and_what_was_shown_before(play):
    ask = AskUser(question="Which cups? ", options=["the large ones", "the left ones"])
    episode = play(CUPS, Locate(ids=[1, 2, 3], place="left"), ask)
    assert (episode.outcome, episode.current_ids) == ("asked", (1, 2))
    assert episode.message == "Which cups? (1) the large ones; (2) the left ones."
    result = Result.from_episode(episode, seconds=1.0)
    assert (result.options, result.count) == (["the large ones", "the left ones"], 2)
    assert Result.model_validate_json(result.to_json()) == result


def test_a_question_may_be_asked_before_anything_is_found(play):
    episode = play(AskUser(question="Welche Tasse?", options=["die rote", "die blaue"]))
    assert (episode.outcome, episode.current_ids) == ("asked", ())


def test_options_that_are_all_the_same_are_a_mistake(play, is_one_sentence):
    observation = play(AskUser(question="Which?", options=["this", "this "]), CUPS).steps[0].observation
    assert observation.is_error
    assert is_one_sentence(observation.text)


@pytest.mark.parametrize("text", ["a \ud800 cup", "\udfff"])
def test_a_result_can_always_be_written(play, text):
    episode = play(CUPS, Answer(ids=[1], message=text, reasons=[{"id": 1, "reason": text}]))
    written = Result.from_episode(episode, seconds=1.0).to_json()
    assert written.encode().decode() == written
