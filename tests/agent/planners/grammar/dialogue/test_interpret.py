"""A table of follow-ups: what people say next, and what it must mean."""

import numpy as np
import pytest

from agent.core.context import ConversationContext, PastTurn
from agent.core.workspace import Candidate, Workspace
from agent.planners.grammar.dialogue.interpret import SAY_WHAT, interpret_follow_up
from agent.planners.grammar.dialogue.utterances import find_command
from agent.planners.grammar.interpretation import interpret_query
from sam3_tool.masks.rle import encode_mask

DOT = encode_mask(np.ones((1, 1), bool))
FIVE = (1, 2, 3, 4, 5)
CUPS = PastTurn("the cups", "answered", "5 masks: 'cup'.", FIVE)


def before(
    *turns: PastTurn, selected: tuple[int, ...] = FIVE, phrases: tuple[str, ...] = ("cup",) * 5
) -> ConversationContext:
    """After these turns about a picture with five cups, or with what `phrases` name."""
    masks = [Candidate(id, DOT, (0, 0, 1, 1), 0.9, phrase) for id, phrase in enumerate(phrases, start=1)]
    return ConversationContext(Workspace(1, 1, tuple(masks)), selected, turns or (CUPS,))


def answered(query: str, *selected: int) -> PastTurn:
    return PastTurn(query, "answered", "", selected)


INTERPRETATIONS = {
    "keep": {
        "Could we have only the ones on the left side?": "left(@0)",
        "I only want the red ones": "(@0 & red cup)",
        "I'd like just the big ones": "above(@0, size)",
        "keep everything left of the plate": "left_of(@0, plate)",
        "only the third from the left": "rank(@0, +x, #3)",
        "smallest only": "rank(@0, +size)",
        "only these two": "rank(@0, -score, 2)",
        "the biggest 2 only": "rank(@0, -size, 2)",
        "now only the left one": "rank(@0, +x)",
        "just the red ones": "(@0 & red cup)",
        "bigger ones only": "above(@0, size)",
        "only number 2 and 4": "#2,4",
        "only the two largest": "rank(@0, -size, 2)",
        "keep the left ones": "left(@0)",
        "narrow it down to the red ones": "(@0 & red cup)",
        "Actually, only the red ones": "(@0 & red cup)",
        "only the cups on the table": "on(@0, table)",
        "only the dogs": "(@0 & dog)",
        "only those left of the plate": "left_of(@0, plate)",
        "ONLY   THE RED ONES!!!": "(@0 & red cup)",
        "please, could you show me only the red ones?": "(@0 & red cup)",
        "only numbers 2 to 4": "#2,3,4",
        "only 4 to 3": "#3,4",
        "keep 3-1": "#1,2,3",
        "only number 1, 4 to 2": "#1,2,3,4",
        "only the red and blue ones": "((@0 & red cup) + (@0 & blue cup))",
        "only the ones that are red": "(@0 & red cup)",
        "let's keep the biggest two": "rank(@0, -size, 2)",
        "the biggest three only": "rank(@0, -size, 3)",
        "only red": "(@0 & red cup)",
        "the top ones only": "top(@0)",
        "only the other two": "rank((@0 - @0), -score, 2)",
        "just 3": "#3",
        "just one": "rank(@0, -score)",
        "only three of them": "rank(@0, -score, 3)",
        "only one": "rank(@0, -score)",
        "onyl the red ones": "(@0 & red cup)",
    },
    "remove": {
        "leave out the striped ones": "(@0 - (@0 & striped cup))",
        "all of them but number 2": "(@0 - #2)",
        "and without 3": "(@0 - #3)",
        "drop 4 to 2": "(@0 - #2,3,4)",
        "leave out masks 4 through 3": "(@0 - #3,4)",
        "drop everything right of number 3": "(@0 - right_of(@0, #3))",
        "remove what is on the table": "(@0 - on(@0, table))",
        "clear": "(@0 - @0)",
        "the ones without stripes": "(@0 - (@0 & cup with stripes))",
        "without a handle": "(@0 - (@0 & cup with a handle))",
        "not the red or blue ones": "(@0 - ((@0 & red cup) + (@0 & blue cup)))",
        "not number 3": "(@0 - #3)",
        "remove the red one": "(@0 - (@0 & red cup))",
        "without the small ones": "(@0 - below(@0, size))",
        "drop 2": "(@0 - #2)",
        "all except number 2": "(@0 - #2)",
        "not the red ones": "(@0 - (@0 & red cup))",
        "take the red one out": "(@0 - (@0 & red cup))",
        "I don't want the red ones": "(@0 - (@0 & red cup))",
        "no red ones": "(@0 - (@0 & red cup))",
        "no dogs": "(@0 - (@0 & dog))",
        "remove all": "(@0 - @0)",
        "not that one": "(@0 - one(@0))",
        "without the ones on the table": "(@0 - on(@0, table))",
        "remove numbers 2, 3 and 5": "(@0 - #2,3,5)",
        "not the leftmost and the rightmost": "(@0 - (rank(@0, +x) + rank(@0, -x)))",
        "exclude everything on the table": "(@0 - on(@0, table))",
        "get rid of the leftmost two": "(@0 - rank(@0, +x, 2))",
        "remove the rest": "(@0 - (@0 - @0))",
        "none of the red ones": "(@0 - (@0 & red cup))",
        "exclude 1, 2": "(@0 - #1,2)",
        "Can you remove number two, please?": "(@0 - #2)",
        "without teh red ones": "(@0 - (@0 & red cup))",
    },
    "add": {
        "add the plate that is next to number 2": "(@0 + next_to(plate, #2))",
        "are there dogs too?": "(@0 + dog)",
        "also include the plates and the forks": "(@0 + (plate + fork))",
        "also the plates": "(@0 + plate)",
        "add the cup on the left": "(@0 + left(cup))",
        "and the dogs too": "(@0 + dog)",
        "also the cup next to number 3": "(@0 + next_to(cup, #3))",
        "could you please also add the dogs?": "(@0 + dog)",
        "add #3 back": "(@0 + #3)",
        "the plates too": "(@0 + plate)",
        "with the plates": "(@0 + plate)",
        "also those on the table": "(@0 + on(@0, table))",
        "also the other cups": "(@0 + (cup - @0))",
        "and the other ones too": "(@0 + (@0 - @0))",
        "also: the plates!": "(@0 + plate)",
        "another cup": "(@0 + rank((cup - @0), -score))",
        "one more cup, please": "(@0 + rank((cup - @0), -score))",
        "another one": "(@0 + rank((cup - @0), -score))",
        "One more!": "(@0 + rank((cup - @0), -score))",
        "show me yet another": "(@0 + rank((cup - @0), -score))",
        "another red one": "(@0 + rank(((cup & red cup) - @0), -score))",
        "and another one left of the plate": "(@0 + rank((left_of(cup, plate) - @0), -score))",
        "also another dog": "(@0 + rank((dog - @0), -score))",
        "two more cups": "(@0 + rank((cup - @0), -score, 2))",
        "another 2 of the cups": "(@0 + rank((cup - @0), -score, 2))",
    },
    "choose": {
        "which one is the biggest?": "rank(@0, -size)",
        "give me the leftmost two": "rank(@0, +x, 2)",
        "the plates and number 3": "(plate + #3)",
        "swap number 2 for number 4": "((@0 - #2) + #4)",
        "the ones on top": "top(@0)",
        "the bottom two": "rank(@0, -y, 2)",
        "the last one": "rank(@0, -x)",
        "the second largest one": "rank(@0, -size, #2)",
        "the biggest 2": "rank(@0, -size, 2)",
        "those not on the table": "(@0 - on(@0, table))",
        "the ones with a handle": "(@0 & cup with a handle)",
        "neither red nor blue": "((@0 - (@0 & red cup)) - ((@0 - (@0 & red cup)) & blue cup))",
        "bigger than number 2": "larger(@0, #2)",
        "the one in the middle": "middle(@0)",
        "invert the selection": "(@0 - @0)",
        "what about number 2?": "#2",
        "the largest of them": "rank(@0, -size)",
        "the others": "(@0 - @0)",
        "no, the red one": "(@0 & red cup)",
        "I meant the left one": "rank(@0, +x)",
        "the ones of them left of the plate": "left_of(@0, plate)",
        "not that one, the red one": "(@0 & red cup)",
        "everything except number 3": "(@0 - #3)",
        "3": "#3",
        "#3": "#3",
        "mask 3": "#3",
        "2 and 4": "#2,4",
        "the third one": "rank(@0, +x, #3)",
        "nubmer 3": "#3",
        "2-4": "#2,3,4",
        "the red one and the blue one": "((@0 & red cup) + (@0 & blue cup))",
        "the two on the left": "rank(@0, +x, 2)",
        "the tall ones": "above(@0, height)",
        "the ones between 2 and 4": "between(@0, #2,4)",
        "which of them is the largest?": "rank(@0, -size)",
        "are any of them red?": "(@0 & red cup)",
        "which ones are on the table?": "on(@0, table)",
        "is it red?": "(one(@0) & red cup)",
        "those that are not red": "(@0 - (@0 & red cup))",
        "the striped ones": "(@0 & striped cup)",
        "red ones please": "(@0 & red cup)",
        "the left half": "left(@0)",
        "on the left": "left(@0)",
        "the ones above number 2": "above(@0, #2)",
        "the ones nearest to the plate": "nearest(@0, plate)",
        "the one closest to number 3": "nearest(@0, #3)",
        "the nearest one to the plate": "nearest(@0, plate)",
        "a bigger one": "rank(@0, -size)",
        "the rest": "(@0 - @0)",
        "the same but red": "(@0 & red cup)",
        "1,2,3": "#1,2,3",
        "show number 3": "#3",
        "select 2 and 3": "#2,3",
        "any two": "rank(@0, -score, 2)",
        "them": "@0",
        "all of them": "@0",
        "the next one": "rank((cup - @0), -score)",
        "next": "rank((cup - @0), -score)",
        "now show me the next two": "rank((cup - @0), -score, 2)",
        "the next dog": "rank((dog - @0), -score)",
        "the next largest one": "rank((cup - @0), -size)",
        "no, another one": "rank((cup - @0), -score)",
    },
    "new": {
        "and now the dogs": "dog",
        "switch to dogs": "dog",
        "not the cups, the dogs": "dog",
        "I meant dogs": "dog",
        "the cups again": "cup",
        "same for the next picture": "cup",
        "how many plates?": "count(plate)",
        "count the dogs": "count(dog)",
        "next, the dogs": "dog",
        "swap: the plates instead": "plate",
        "replace the cups with the plates": "plate",
        "plates instead of the cups": "plate",
        "everything except the cups": "(object - cup)",
        "where are the stars?": "star",
        "the cups": "cup",
        "the plates next to them": "next_to(plate, @0)",
        "find the dogs": "dog",
        "the same again": "cup",
        "how many cups are red?": "count(red cup)",
        "how many dogs are there?": "count(dog)",
        "everything on the table": "on(object, table)",
    },
    "count": {
        "how many are on the table?": "count(on(@0, table))",
        "count the red ones": "count((@0 & red cup))",
        "how many red ones are there?": "count((@0 & red cup))",
        "so how many is that?": "count(@0)",
        "how many are there now?": "count(@0)",
        "and how many are red?": "count((@0 & red cup))",
        "how many of them?": "count(@0)",
        "count them": "count(@0)",
    },
    "stay": {
        "yes": "@0",
        "thanks": "@0",
    },
}
"""What it does with the answer -> the query after 'the cups', which found five -> its plan. @0 is that answer."""


@pytest.mark.parametrize("change", INTERPRETATIONS)
def test_a_query_says_what_it_does_with_the_answer_so_far(change, written):
    found = {query: interpret_follow_up(query, before()) for query in INTERPRETATIONS[change]}
    assert {query: written(interpretation.plan) for query, interpretation in found.items()} == INTERPRETATIONS[change]
    assert {query: interpretation.change for query, interpretation in found.items()} == dict.fromkeys(found, change)
    assert all(interpretation.complete for interpretation in found.values())


@pytest.mark.parametrize(
    ("turns", "query", "plan"),
    [
        ([("the cups", FIVE), ("the left one", (1,))], "the right one", "rank(@0, -x)"),
        ([("the cups", FIVE), ("the left one", (1,))], "the one next to it", "next_to(@0, one(@1))"),
        ([("the cups", FIVE), ("the left one", (1,))], "only the right one", "rank(@0, -x)"),
        ([("the cups", FIVE), ("the left one", (1,))], "only the dogs", "(@1 & dog)"),
        ([("the cups", FIVE), ("the left one", (1,))], "the other ones", "(@0 - @1)"),
        ([("the cups", FIVE), ("the left one", (1,))], "the other one", "one((@0 - @1))"),
        ([("the cups", FIVE), ("the left one", (1,))], "also the red ones", "(@1 + (@0 & red cup))"),
        ([("the cups", FIVE), ("the left one", (1,))], "no, the right one", "rank(@0, -x)"),
        ([("the cups", FIVE), ("only the red ones", (1, 2))], "the blue ones", "((@1 & blue cup) ?? (@0 & blue cup))"),
        ([("the cups", FIVE), ("only the red ones", (1, 2))], "only the blue ones", "(@1 & blue cup)"),
        ([("the cups", FIVE), ("only the red ones", (1, 2))], "I meant the blue ones", "(@0 & blue cup)"),
        ([("the cups", FIVE), ("only the red ones", (1, 2))], "actually, only the blue ones", "(@0 & blue cup)"),
        ([("the cups", FIVE), ("only the red ones", (1, 2))], "sorry, remove the left one", "(@1 - rank(@1, +x))"),
        ([("the cups", FIVE), ("not number 3", (1, 2, 4, 5))], "no, number 4", "(@0 - #4)"),
        ([("the cups", FIVE), ("also the left dog", (1, 2, 3, 4, 5, 6))], "no, the right one", "(@0 + rank(dog, -x))"),
        ([("the cups", FIVE), ("also the dogs", (1, 2, 3, 4, 5, 6))], "no, the cats", "(@0 + cat)"),
        ([("the cups", FIVE), ("the dogs", (6, 7))], "no, the cats", "cat"),
        ([("the red cups", (1, 2))], "the blue ones", "((@0 & blue cup) ?? (cup & blue cup))"),
        ([("the red cups", (1, 2))], "the others", "(cup - @0)"),
        ([("the cups", FIVE), ("the left one", (1,))], "another one", "(@1 + rank((@0 - @1), -score))"),
        ([("the cups", FIVE), ("number 2", (2,))], "the next one", "rank((@0 - @1), -score)"),
        ([("the cups", FIVE), ("the left one", (1,))], "the next one", "rank(@0, +x, #2)"),
        ([("the largest cup", (4,)), ("the next one", (1,))], "the next two", "rank(cup, -size, #3, 2)"),
        ([("the cup nearest to the dog", (4,))], "the next one", "rank(cup, +distance, #2, dog)"),
        ([("the left cup", (1,))], "no, the right one", "rank(cup, -x)"),
        ([("how many cups are there?", FIVE)], "only the red ones", "(@0 & red cup)"),
        ([("the cups", FIVE), ("how many of them are red?", (1, 2))], "how many are blue?", "count((@0 & blue cup))"),
        ([("the cups", FIVE), ("how many of them are red?", (1, 2))], "the left one of them", "rank(@1, +x)"),
        ([("the cups", FIVE), ("only the red ones", (1, 2))], "again", "(cup & red cup)"),
        ([("the cups", FIVE), ("not number 3", (1, 2, 4, 5))], "the same again", "(cup - #3)"),
        ([("the cups", FIVE), ("the dogs", (6, 7)), ("the left one", (6,))], "do it again", "rank(dog, +x)"),
    ],
)
def test_what_was_said_before_decides_what_is_meant(written, turns, query, plan):
    said = [answered(words, *selected) for words, selected in turns]
    names = ("cup",) * 5 + ("dog",) * 2
    interpretation = interpret_follow_up(query, before(*said, selected=turns[-1][1], phrases=names))
    assert (written(interpretation.plan), interpretation.complete) == (plan, True)


@pytest.mark.parametrize(
    "query",
    [
        *("only the two in the background", "the one closest to the camera", "without the ones on the side"),
        *("hund und katze", "now the tallest man's hat", "the largest by height", "the ones we need", "can cups fly"),
    ],
)
def test_a_follow_up_that_is_doubtful_is_incomplete(query):
    reading = interpret_follow_up(query, before())
    assert (reading.complete, reading.change in ("new", "choose", "keep")) == (False, True)


def test_without_anything_before_a_query_is_read_by_itself():
    assert interpret_follow_up("only the red ones", ConversationContext()) == interpret_query("only the red ones")


def test_after_nothing_was_found_the_question_is_what_is_spoken_of(written):
    nothing = PastTurn("the dogs", "no_match", "Nothing in the picture was found for 'dog'.", ())
    interpretation = interpret_follow_up("only the red ones", before(nothing, selected=()))
    assert written(interpretation.plan) == "(dog & red dog)"
    assert written(interpret_follow_up("also the cats", before(nothing, selected=())).plan) == "(dog + cat)"


@pytest.mark.parametrize(
    ("words", "means"),
    [
        *(
            (words, "undo")
            for words in ("undo", "Undo that, please.", "go back", "take that back", "never mind", "back")
        ),
        *(
            (words, "undo")
            for words in ("Undo the last step!", "put it back", "ok, undo it", "go back to the last answer")
        ),
        *((words, "redo") for words in ("redo", "Redo that", "forward")),
        *((words, None) for words in ("the back of the car", "remove that", "do it again", "go on", "back row", "")),
    ],
)
def test_undo_and_redo_are_commands(words, means):
    assert find_command(words) == means


@pytest.mark.parametrize(
    "query",
    [
        "the same in this other picture",
        "same here",
        "do it again",
        "again",
        "the same",
        "And now the same here, please!",
        "same for this one",
        "repeat that",
        "once more",
        "do the same here too",
        "this picture too",
        "here as well",
    ],
)
def test_the_same_is_what_was_asked_for(query, written):
    assert (
        written(interpret_follow_up(query, before(CUPS, answered("only the red ones", 1, 2))).plan) == "(cup & red cup)"
    )


@pytest.mark.parametrize(
    "query",
    [
        "",
        "???",
        "🐶",
        "赤い車",
        "the of and",
        "not",
        "only",
        "also",
        "a" * 5000,
        "remove " * 400,
        "no, " * 400,
        "<3>",
        "<them>",
        "number",
        "# 3 #",
        "not not not",
        "1 " * 300,
        "the red one and " * 60,
        "<of_them> <it>",
        "take " * 300 + "out",
        "number 99999999999999999999",
        "2-4-6-8",
        "only the",
        "replace with",
        "instead",
        "them them them",
        "\x00\u2028",
    ],
)
def test_anything_may_be_said(query):
    interpretation = interpret_follow_up(query, before())
    assert interpretation.plan is not None or not interpretation.complete or interpretation.question


@pytest.mark.parametrize("query", ["the same again", "without the red ones", "the left one", "only the one next to it"])
def test_a_long_conversation_is_read_without_growing_out_of_hand(written, query):
    turns = [CUPS, *(answered(query, *FIVE) for _ in range(60))]
    assert written(interpret_follow_up("again", before(*turns)).plan)


@pytest.mark.parametrize(
    "first", ["no, the dogs", "only the red cups", "the same again", "remove it", "not that one, the red one"]
)
def test_the_first_query_is_read_by_itself_ever_after(written, first):
    interpretation = interpret_follow_up("the largest of them", before(answered(first, *FIVE)))
    assert written(interpretation.plan) == "rank(@0, -size)"
    assert interpret_follow_up("no, the left one", before(answered(first, *FIVE))).change == "choose"


PICKED = (answered("the cups", *FIVE), answered("only the two left ones", 1, 2), answered("the left one", 1))


@pytest.mark.parametrize("query", ["both", "both of them", "both, please"])
def test_both_after_one_of_two_are_the_two(query, written):
    found = interpret_follow_up(query, before(*PICKED, selected=(1,)))
    assert (written(found.plan), found.complete, found.change) == ("@1", True, "choose")


def test_both_of_one_or_of_five_is_not_understood():
    for context in (before(), before(answered("the cup", 1), selected=(1,), phrases=("cup",))):
        assert not interpret_follow_up("both", context).complete


def test_its_cup_is_the_one_nearest_to_the_only_mask(written):
    dog = before(answered("the dog", 1), selected=(1,), phrases=("dog",))
    assert written(interpret_follow_up("and its cup", dog).plan) == "(@0 + nearest(cup, one(@0)))"
    assert not interpret_follow_up("and its cup", before()).complete, "of five, it is not said whose"


@pytest.mark.parametrize("query", ["wrong one", "that's wrong", "no", "try again", "no, that's not what I meant"])
def test_a_complaint_that_names_nothing_looks_for_nothing_and_asks_what_is_meant(query):
    found = interpret_follow_up(query, before())
    assert (found.plan, found.notes) == (None, (SAY_WHAT,))


@pytest.mark.parametrize(
    ("query", "plan"),
    [
        ("not the red ones but the blue ones", "(@0 & blue cup)"),
        ("no, not that one, the others", "(@0 - @1)"),
        ("🔴 ones", "(@0 & red cup)"),
    ],
)
def test_what_is_put_right_is_what_comes_last(query, plan, written):
    context = before(CUPS, answered("the left one", 1), selected=(1,)) if "others" in query else before()
    assert written(interpret_follow_up(query, context).plan) == plan
