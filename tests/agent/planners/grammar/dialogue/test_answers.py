"""Conversations with the grammar planner: which masks are the answer after every turn, and what it says."""

from pathlib import Path

import numpy as np
import pytest

from agent import PAPER, GrammarPlanner, run
from agent.conversation.conversation import Conversation
from agent.tools.toolsets import Answer, Segment
from sam3_tool import Image, Instances, Sam3
from sam3_tool.backends.scripted import ScriptedBackend

HEIGHT, WIDTH = 100, 200
CUPS = [(10, 10, 30, 30), (60, 60, 70, 70), (110, 20, 120, 30), (150, 50, 190, 90)]
"""Numbers 1 to 4 of every conversation that begins with 'the cups': x0, y0, x1, y1."""
BOXES = {
    "cup": CUPS,
    "red cup": CUPS[:2],
    "blue cup": CUPS[2:],
    "plate": [(40, 5, 60, 15), (80, 70, 100, 80)],
    "table": [(0, 91, 200, 100)],
    "dog": [(12, 60, 32, 80), (13, 35, 33, 55)],
}
"""What is in each of the pictures, by phrase. The two dogs stand one above the other."""


REPLACED = "4 masks: those other than those that are 'red cup' and 'plate'."
ONE = "2 masks: the most certain of 4 'cup'"
TOOK = "Took 1 of the 4 cups: the"
NOTHING_ADDED = "Nothing was added to the 4 cups:"
LEFT_OUT = "Numbers mean nothing in another picture, so this was left out:"
ADDED = "Added 1 to the 4 cups: the rightmost of 2 'plate'."


def found(boxes: list[tuple[int, int, int, int]]) -> Instances:
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    masks = [(columns >= x0) & (columns < x1) & (rows >= y0) & (rows < y1) for x0, y0, x1, y1 in boxes]
    scores = np.array([0.95 - 0.02 * place for place in range(len(boxes))], np.float32)
    return Instances(np.array(masks), np.array(boxes, np.float32), scores, 0.9, "")


@pytest.fixture(scope="module")
def sam3() -> Sam3:
    return Sam3(ScriptedBackend({None: {phrase: found(boxes) for phrase, boxes in BOXES.items()}}))


def a_picture(shade: int = 0) -> Image:
    return Image(np.full((HEIGHT, WIDTH, 3), shade, np.uint8))


@pytest.fixture
def talk(sam3):
    """The conversation after these queries."""

    def talk(*queries: str) -> Conversation:
        conversation = Conversation.start(a_picture())
        for query in queries:
            conversation = conversation.say(query, GrammarPlanner(), sam3)
        return conversation

    return talk


@pytest.mark.parametrize(
    ("queries", "selected", "message"),
    [
        ("only the red ones", (1, 2), "Kept 2 of the 4 cups: those that are 'red cup'."),
        ("only the two largest", (4, 1), "Kept 2 of the 4 cups: the two largest."),
        ("only those left of the plates", (1, 2), "Kept 2 of the 4 cups: those left of 'plate'."),
        ("bigger ones only", (4,), "Kept 1 of the 4 cups: those larger than their average."),
        ("the left ones", (1, 2), "Took 2 of the 4 cups: those in the left half."),
        ("number 2 and 4", (2, 4), "Took numbers 2 and 4."),
        ("also the plates", (1, 2, 3, 4, 5, 6), "Added 2 to the 4 cups: 'plate'."),
        ("not number 3", (1, 2, 4), "Left out 1 of the 4 cups: number 3."),
        ("without the red ones", (3, 4), "Left out 2 of the 4 cups: those that are 'red cup'."),
        ("remove the largest one", (1, 2, 3), "Left out 1 of the 4 cups: the largest."),
        ("how many are there now?", (1, 2, 3, 4), "There are 4 cups."),
        ("how many of them are red?", (1, 2), "2 of the 4 cups: those that are 'red cup'."),
        ("the plates", (5, 6), "2 masks: 'plate'."),
        ("swap the red ones for the plates", (3, 4, 7, 8), REPLACED),
        ("only the red ones; the left one", (1,), "Took 1 of the 2 cups: the leftmost."),
        ("the left one; the right one", (4,), "Took 1 of the 4 cups: the rightmost."),
        ("the left one; the others", (2, 3, 4), "Took 3 of the 4 cups: the others."),
        ("the left one; also the right one", (1, 4), "Added 1 to the cup: the rightmost."),
        ("only the two largest; the three smallest", (2, 3, 1), "Took 3 of the 4 cups: the three smallest."),
        ("not number 3; no, number 4", (1, 2, 3), "Left out 1 of the 4 cups: number 4."),
        ("also the left plate; no, the right one", (1, 2, 3, 4, 6), ADDED),
        ("how many of them are red?; how many are blue?", (3, 4), "2 of the 4 cups: those that are 'blue cup'."),
        ("also the cups", (1, 2, 3, 4), "Nothing was added to the 4 cups: 'cup' had been there before."),
        ("and forks", (1, 2, 3, 4), "Nothing was added to the 4 cups: nothing in the picture was found for 'fork'."),
        ("without the plates", (1, 2, 3, 4), "Nothing was left out of the 4 cups: none of the 4 is 'plate'."),
        ("ok, thanks", (1, 2, 3, 4), "Nothing was changed: 4 masks."),
        ("only number 3; another cup", (3, 1), "Added 1 to the cup: another 'cup'."),
        ("only number 3; another one; one more", (3, 1, 2), "Added 1 to the 2 cups: another one."),
        ("only number 3; another red one", (3, 1), "Added 1 to the cup: another one that is 'red cup'."),
        ("only number 3; two more of them", (3, 1, 2), "Added 2 to the cup: two more of those."),
        ("only number 3; another plate", (3, 5), "Added 1 to the cup: another 'plate'."),
        ("another cup", (1, 2, 3, 4), "Nothing was added to the 4 cups: there are no others."),
        ("another fork", (1, 2, 3, 4), f"{NOTHING_ADDED} nothing in the picture was found for 'fork'."),
        ("number 3; the next one", (1,), "Took 1 of the 4 cups: another one."),
        ("number 3; the next one; the next one", (2,), f"{TOOK} second most certain of the 3 others."),
        ("the left one; the next one", (2,), "Took 1 of the 4 cups: the second from the left."),
        ("the largest; no, another one", (1,), "Took 1 of the 4 cups: the second largest."),
        ("the leftmost cup; the next two; another one", (2, 3, 1), "Added 1 to the 2 cups: another 'cup'."),
    ],
)  # fmt: skip
def test_the_answer_after_the_cups_changes_as_was_said(talk, queries, selected, message):
    conversation = talk("the cups", *queries.split("; "))
    assert (conversation.outcome, conversation.selected, conversation.message) == ("answered", selected, message)


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("only the plates", "None of the 4 is 'plate'. The answer before it stays: 4 masks, 1 to 4."),
        ("the others", "There are no others. The answer before it stays: 4 masks, 1 to 4."),
        ("the next one", "There are no others. The answer before it stays: 4 masks, 1 to 4."),
        ("remove all", "That would leave nothing. The answer before it stays: 4 masks, 1 to 4."),
    ],
)
def test_what_leaves_nothing_leaves_the_answer_as_it_was(talk, query, message):
    conversation = talk("the cups", query)
    assert (conversation.outcome, conversation.selected) == ("no_match", (1, 2, 3, 4))
    assert conversation.message.startswith(message.split(". ")[0])


def test_what_is_known_is_not_segmented_again(talk):
    conversation = talk(
        "the cups and the plates", "only the cups", "not the leftmost one", "also the plates", "the cups"
    )
    assert [turn.usage.sam_decodes for turn in conversation.turns] == [2, 0, 0, 0, 0]
    assert conversation.selected == (1, 2, 3, 4)


def test_a_new_question_is_answered_as_it_would_be_without_a_conversation(talk):
    for query in ("the two largest cups", "cups left of the plates", "how many red cups are there?", "the second dog"):
        alone, later = talk(query), talk("the tables", query)
        assert alone.message == later.message
        assert np.array_equal(alone.answer.masks, later.answer.masks)


@pytest.mark.parametrize(
    ("reply", "selected"),
    [
        ("the second", (2,)),
        ("number 1", (1,)),
        ("2", (2,)),
        ("both", (1, 2)),
        ("the top one", (2,)),
        ("I meant number 2, please", (2,)),
        ("the last one", (2,)),
    ],
)
def test_a_tie_is_asked_back_and_the_reply_chooses(talk, reply, selected):
    asked = talk("the dogs", "the left one")
    assert (asked.outcome, asked.options) == ("asked", ("number 1 (dog)", "number 2 (dog)"))
    assert asked.message.startswith("Numbers 1 and 2 are equally the leftmost, as far as can be told; which is meant?")
    answered = talk("the dogs", "the left one", reply)
    assert (answered.outcome, answered.selected) == ("answered", selected)


@pytest.mark.parametrize("reply", ["{}", "number {}", "the {}th", "option {}"])
def test_a_number_longer_than_any_list_is_no_traceback(talk, reply):
    after = talk("the dogs", "the left one", reply.format("9" * 5000))
    assert (after.outcome, after.selected) == ("no_match", (1, 2))


def test_a_reply_goes_on_with_what_was_asked_for(talk):
    assert talk("the dogs", "also the cups", "remove it", "number 4").selected == (1, 2, 3, 5, 6)
    assert talk("the dogs", "only the cups and the left dog").outcome == "asked"
    assert talk("the cups", "also the left dog", "the first").selected == (1, 2, 3, 4, 5)


def test_a_reply_may_say_none_or_something_else(talk):
    asked = ("the dogs", "the left one")
    assert talk(*asked, "none of them").message == "Nothing was changed: 2 masks."
    assert talk(*asked, "find the plates").message == "2 masks: 'plate'."
    assert talk(*asked, "the right one").outcome == "asked"


def test_it_asks_which_one_where_there_are_several(talk):
    several = talk("the cups", "the plates next to it")
    assert several.outcome == "asked"
    assert several.options == tuple(f"number {id} (cup)" for id in (1, 2, 3, 4))
    assert talk("the cups", "number 1", "the plate right of it").message == "2 masks: 'plate' right of it."


def test_a_number_that_is_not_there_is_answered_with_those_that_are(talk):
    conversation = talk("the cups", "remove number 9")
    assert conversation.outcome == "asked"
    assert conversation.message.startswith("There is no number 9; there are 1 to 4; which is meant?")
    assert talk("the cups", "remove number 9", "number 3").selected == (1, 2, 4)
    assert talk("the table", "not number 2").message.startswith("There is no number 2; there is only 1.")


def test_depth_is_not_guessed(talk):
    conversation = talk("the cups", "number 2", "the one behind it")
    assert conversation.outcome == "asked"
    assert conversation.options == ("the one above it", "the one next to it")
    assert talk("the cups", "number 2", "the one behind it", "the first").selected == (1, 3)


def test_what_cannot_be_read_changes_nothing_and_says_so(talk):
    for query in ("the ones wearing a hat", "another one wearing a hat", "the next one wearing a hat"):
        conversation = talk("the cups", query)
        assert (conversation.outcome, conversation.selected) == ("no_match", (1, 2, 3, 4))
        assert conversation.message.startswith("That was not understood; name what to look for")


def test_the_head_of_what_goes_too_far_is_taken_and_that_is_said(talk):
    conversation = talk("the cups", "also the plate wearing a hat")
    assert conversation.selected == (1, 2, 3, 4, 5, 6)
    assert "the rest of the query was not understood" in conversation.message


@pytest.mark.parametrize(
    ("queries", "message"),
    [
        ("the cups; only the red ones", "2 masks: 'cup' that are 'red cup' too."),
        ("the cups; plates too; only the two largest", "2 masks: the two largest of 6 'cup' and 'plate'."),
        ("the cups; only the red ones; the blue ones", "2 masks: 'cup' that are 'blue cup' too."),
        ("the plates; the cups; only the left ones; undo", "4 masks: 'cup'."),
        ("the cups; only those left of the plates; how many are there?", "There are 2 cups left of 'plate'."),
        ("the cups; only the forks", "4 masks: 'cup'."),
        ("the cups; the forks", "4 masks: 'cup'."),
        ("the cups; the forks; only the red ones", "2 masks: 'cup' that are 'red cup' too."),
        ("the forks", "Nothing in the picture was found for 'fork'."),
        ("the forks; the dogs", "2 masks: 'dog'."),
        ("the dogs; the left one", "1 mask: the leftmost of 2 'dog'."),
        ("the dogs; the left one; also the cups", "6 masks: 'dog' and 'cup'."),
        ("the largest cup; the next one", "1 mask: the second largest of 4 'cup'."),
        ("one cup; another one", f"{ONE} and the most certain of 3 'cup' other than {ONE[9:]}."),
        ("the cups; not 3; the left ones", f"2 masks: 'cup' in the left half. {LEFT_OUT} 'not 3'."),
    ],
)  # fmt: skip
def test_the_same_is_asked_of_another_picture(talk, sam3, queries, message):
    conversation = talk(*queries.split("; ")).show(a_picture(9))
    assert conversation.selected == ()
    assert conversation.say("the same in this picture", GrammarPlanner(), sam3).message == message


def test_what_was_asked_in_vain_of_a_picture_without_an_answer_is_asked_of_the_next_one(talk, sam3):
    elsewhere = talk("the cups").show(a_picture(9)).say("the forks", GrammarPlanner(), sam3)
    for conversation in (elsewhere, elsewhere.show(a_picture(7))):
        again = conversation.say("the same", GrammarPlanner(), sam3)
        assert again.message == "Nothing in the picture was found for 'fork'."


def test_what_was_done_by_hand_is_not_repeated_in_another_picture_and_that_is_said(talk, sam3):
    edited = talk("the cups").remove([4]).remove([3]).say("the forks", GrammarPlanner(), sam3)
    elsewhere = edited.show(a_picture(9)).say("the same in this other picture", GrammarPlanner(), sam3)
    assert elsewhere.selected == (1, 2, 3, 4)
    assert elsewhere.message == "4 masks: 'cup'. What was done by hand (2 changes) is not repeated."
    again = elsewhere.show(a_picture(7)).say("the same", GrammarPlanner(), sam3)
    assert again.message == "4 masks: 'cup'."


def test_where_all_was_done_by_hand_there_is_nothing_to_repeat(talk, sam3):
    edited = Conversation.start(a_picture()).edit([Segment(phrases=["cup"]).to_decision()], sam3, "by hand")
    said = edited.show(a_picture(9)).say("the same", GrammarPlanner(), sam3)
    assert said.outcome == "no_match"
    told = "What was done by hand (1 change) is not repeated. There is no question before it to ask again."
    assert said.message == told


def test_another_one_is_the_first_one_in_another_picture(talk, sam3):
    elsewhere = talk("the cups").show(a_picture(9)).say("another one", GrammarPlanner(), sam3)
    assert (elsewhere.selected, elsewhere.message) == ((1,), "1 mask: the most certain of 4 'cup'.")
    assert elsewhere.say("another one", GrammarPlanner(), sam3).selected == (1, 2)


def test_what_was_asked_for_may_be_changed_in_another_picture(talk, sam3):
    elsewhere = talk("the cups").show(a_picture(9))
    assert elsewhere.say("only the left ones", GrammarPlanner(), sam3).message == "2 masks: 'cup' in the left half."
    assert elsewhere.say("also the plates", GrammarPlanner(), sam3).message == "6 masks: 'cup' and 'plate'."


def test_what_was_done_by_hand_is_spoken_of_too(talk, sam3):
    edited = talk("the cups").remove([4])
    assert edited.say("the largest one", GrammarPlanner(), sam3).selected == (1,)
    assert edited.say("how many are there now?", GrammarPlanner(), sam3).message == "There are 3 cups."


def test_decisions_follow_from_what_was_said_alone(talk):
    conversation = talk("the cups", "also the left dog", "the second", "not the red ones")
    for turn in conversation.turns:
        planner = GrammarPlanner()
        again = [planner.decide(type(turn)(turn.task, turn.steps[:done])) for done in range(len(turn.steps))]
        assert again == [step.decision for step in turn.steps]


def test_answers_of_any_other_planner_are_spoken_of(talk, sam3):
    conversation = talk("the cups").edit([Answer(ids=[3, 4]).to_decision()], sam3, "these two")
    assert conversation.say("the left one", GrammarPlanner(), sam3).selected == (3,)


def test_the_published_protocol_asks_for_all_of_it_again(talk):
    task = talk("the cups", "only the two largest").build_task("the left one")
    episode = run(task, GrammarPlanner(PAPER), Sam3(ScriptedBackend({None: {"cup": found(CUPS)}})))
    assert [step.decision.tool for step in episode.steps] == ["segment_phrase", "select_masks_and_return"]
    assert episode.answer.boxes.tolist() == [[10, 10, 30, 30]]


def test_a_reply_that_fits_several_is_asked_about_again(talk):
    again = talk("the cups", "remove it", "the red one")
    assert (again.outcome, again.options) == ("asked", ("number 1 (cup)", "number 2 (cup)"))
    assert talk("the cups", "remove it", "the red one", "the second").selected == (1, 3, 4)


def test_the_published_protocol_has_no_question_and_reports_no_mask(talk, sam3):
    for query in ("the one behind it", "remove it", "number 9"):
        episode = run(talk("the cups").build_task(query), GrammarPlanner(PAPER), sam3)
        assert (episode.outcome, len(episode.answer)) == ("no_match", 0)


def test_the_embedded_sam3_is_talked_to(tiny):
    conversation = Conversation.start(Image.open(Path(__file__).parents[5] / "examples" / "scene.png"))
    messages = []
    for query in ("the watermelons", "without the smallest one", "also the banana", "how many are there now?", "undo"):
        conversation = conversation.say(query, GrammarPlanner(), tiny)
        messages.append(conversation.message)
    number = int(messages[0].split()[0])
    assert messages[0] == f"{number} masks: 'watermelon'."
    assert messages[1] == f"Left out 1 of the {number} watermelons: the smallest."
    assert messages[2] == f"Added 1 to the {number - 1} watermelons: 'banana'."
    assert messages[3] == f"There are {number} masks."
    assert messages[4] == messages[2]
    assert len(conversation.answer) == number


def test_the_embedded_sam3_gives_one_more_until_there_are_no_others(tiny):
    conversation = Conversation.start(Image.open(Path(__file__).parents[5] / "examples" / "scene.png"))
    number = len(conversation.say("the watermelons", GrammarPlanner(), tiny).selected)
    conversation = conversation.say("one watermelon", GrammarPlanner(), tiny)
    for had in range(1, number):
        scores = [conversation.workspace[id].score for id in conversation.selected]
        conversation = conversation.say("another one", GrammarPlanner(), tiny)
        assert len(conversation.selected) == had + 1
        assert min(scores) >= conversation.workspace[conversation.selected[-1]].score
    done = conversation.say("one more watermelon", GrammarPlanner(), tiny)
    assert done.message == f"Nothing was added to the {number} watermelons: there are no others."
    assert done.selected == conversation.selected


def test_a_correction_after_an_edit_by_hand_is_of_what_is_there(talk, sam3):
    edited = talk("the cups").remove([1])
    assert edited.say("no, the left one", GrammarPlanner(), sam3).selected == (2,)


def test_where_nothing_is_selected_nothing_is_changed(talk, sam3):
    thanked = talk("the cups").show(a_picture(9)).say("thanks", GrammarPlanner(), sam3)
    assert (thanked.outcome, thanked.selected) == ("no_match", ())
    assert thanked.message == "Nothing was changed: no mask is selected."


@pytest.mark.parametrize(
    ("words", "outcome", "selected"),
    [
        ("not the top one", "answered", (1,)),
        ("only the bottom one", "answered", (1,)),
        ("the others", "no_match", (1, 2)),
        ("also the plates", "answered", (1, 2, 3, 4)),
        ("how many are there?", "answered", (1, 2)),
        ("remove number 2", "answered", (1,)),
    ],
)
def test_what_is_no_reply_is_said_of_the_answer_before_the_question(talk, words, outcome, selected):
    conversation = talk("the dogs", "the left one", words)
    assert (conversation.outcome, conversation.selected) == (outcome, selected)


def test_a_short_question_after_a_count_counts_too(talk):
    assert talk("how many cups are there?", "and plates?").message == "There are 2 plates."
    assert (
        talk("how many cups are there?", "what about the red ones?").message
        == "2 of the 4 cups: those that are 'red cup'."
    )
    assert talk("how many cups are there?", "and the plates").message == "Added 2 to the 4 cups: 'plate'."


def test_the_published_protocol_knows_no_numbers_of_earlier_turns(talk, sam3):
    task = talk("the cups", "number 2 and 4").build_task("the left one")
    episode = run(task, GrammarPlanner(PAPER), sam3)
    assert (episode.outcome, len(episode.steps)) == ("no_match", 1)
