"""What people say of the course of time, and what it must become; on a video alone, for an image has no time."""

import pytest

from agent import Conversation, GrammarPlanner, Task, run
from agent.planners.grammar.interpretation import interpret_query
from agent.planners.grammar.plan import (
    Counted,
    Difference,
    Encountered,
    InMotion,
    InSeconds,
    Phrase,
    Plan,
    Ranked,
    TimedByEvent,
    Union,
    While,
)
from agent.tools.toolsets import VIDEO
from evals.datasets.synthetic.temporal_wordings import BY_EVENT, MANY, ONE

DOG, CAT = Phrase("dog"), Phrase("cat")
LEAVING = InMotion(DOG, "leaves")
PLANS: dict[str, Plan] = {
    "the dog that jumps over the fence": Encountered(DOG, "passing_over", Phrase("fence")),
    "the man who walks from left to right": InMotion(Phrase("man"), "moves_right"),
    "the car overtaking the bus": Encountered(Phrase("car"), "passing", Phrase("bus")),
    "the dogs running towards the cat": Encountered(DOG, "moving_toward", CAT),
    "the dog that runs away from the cat": Encountered(DOG, "moving_away_from", CAT),
    "how many dogs enter the picture?": Counted(InMotion(DOG, "enters")),
    "how many dogs do not leave?": Counted(Difference(DOG, LEAVING)),
    "the dogs that never leave": Difference(DOG, LEAVING),
    "the largest dog that does not leave": Ranked(Difference(DOG, LEAVING), "size", "descending"),
    "the dogs except the one that leaves": Difference(DOG, LEAVING),
    "the dog that doesn't move": InMotion(DOG, "still"),
    "the dog standing still": InMotion(DOG, "still"),
    "The dog that's leaving.": LEAVING,
    "track the fastest dog": Ranked(DOG, "speed", "descending"),
    "the second fastest dog": Ranked(DOG, "speed", "descending", 2),
    "which of the two dogs is faster?": Ranked(DOG, "speed", "descending"),
    "the last two dogs to run away": Ranked(LEAVING, "last_seen", "descending", take=2),
    "the largest dog that leaves": Ranked(LEAVING, "size", "descending"),
    "the third largest dog that leaves": Ranked(LEAVING, "size", "descending", 3),
    "the dog that enters and then leaves": InMotion(InMotion(DOG, "enters"), "leaves"),
    "the dogs which leave before the cats do": Encountered(DOG, "disappearing_before", CAT),
    "the dog after the cat left": TimedByEvent(DOG, "after", "disappears", CAT),
    "the dogs while the cat is visible": While(DOG, "seen_with", CAT),
    "the dog when it touches the cat": While(DOG, "touching", CAT),
    "the dog in the first two seconds": InSeconds(DOG, None, 2),
    "the dog in the last 2.5 seconds": InSeconds(DOG, 2.5, None, from_end=True),
    "the dog between 0:02 and 0:04": InSeconds(DOG, 2, 4),
    "the dog after 3 seconds": InSeconds(DOG, 3, None),
    "the dog, then the cat": Union((DOG, CAT)),
    "the dog": DOG,
    "the rose": Phrase("rose"),
}


@pytest.mark.parametrize("query", PLANS)
def test_a_query_about_a_video_is_read_whole(query):
    read = interpret_query(query, on_video=True)
    assert (read.plan, read.complete) == (PLANS[query], True)


FIRST, FASTEST = Ranked(InMotion(DOG, "appears"), "first_seen", "ascending"), Ranked(DOG, "speed", "descending")
LONGEST, BEFORE = Ranked(DOG, "duration", "descending"), TimedByEvent(DOG, "before", "appears", CAT)
OTHER_WORDS: dict[Plan, tuple[str, ...]] = {
    FIRST: ("the dog to appear first", "the dog that is first to appear", "the earliest dog to appear"),
    FASTEST: ("the speediest dog", "the dog with the highest speed", "the dog that's moving most quickly"),
    LONGEST: ("the dog on screen longest", "the longest visible dog", "the dog that can be seen for the most time"),
    BEFORE: ("before the cat enters, the dog", "the dog prior to the cat appearing", "the dog until the cat comes in"),
    Ranked(LEAVING, "last_seen", "descending"): ("the last dog out of the picture", "the final dog to leave"),
    InMotion(DOG, "moves_left"): ("the left-moving dog", "the dog that drifts to the left side"),
    InMotion(DOG, "enters"): ("the dog that wasn't there at the start", "the dog that walks in"),
    LEAVING: ("the dog that is gone at the end", "the dog not visible at the end"),
    InMotion(DOG, "grows"): ("the dog that increases in size", "the dog that swells"),
    Encountered(DOG, "touching", CAT): (
        "the dog that comes into contact with the cat",
        "the dog that ever hits the cat",
    ),
    While(DOG, "above", CAT): (
        "the dog at the time when it is above the cat",
        "the dog so long as it is above the cat",
    ),
}


@pytest.mark.parametrize(("query", "plan"), [(said, plan) for plan, texts in OTHER_WORDS.items() for said in texts])
def test_other_words_for_the_same_are_read_alike(query, plan):
    read = interpret_query(query, on_video=True)
    assert (read.plan, read.complete) == (plan, True)


@pytest.mark.parametrize(
    "query",
    [
        "the dog just before the cat leaves",  # how long before?
        "the dog that walks in the grass",
        "the dog that is passed by the cat",  # not the dog passes
        "the dog that leaves the room",  # not the picture
        "the dog that enters from the left",
        "the dog that stops",
        "the dog before it barks",
    ],
)
def test_what_no_tool_can_tell_is_said_not_to_be_understood(query):
    read = interpret_query(query, on_video=True)
    assert (read.plan, read.complete) == (DOG, False)


def test_every_wording_of_the_generated_queries_is_read_whole():
    texts = [text for table in (ONE, MANY, BY_EVENT) for wordings in table.values() for text in wordings]
    said = [text.format(one="dog", many="dogs", asked="dogs", mark="red star") for text in texts]
    unread = [text for text in said if not interpret_query(text, on_video=True).complete]
    assert len(said) > 100
    assert unread == []


def test_an_image_has_no_time():
    assert interpret_query("the fastest dog").plan != PLANS["track the fastest dog"]


ANSWERS = {
    "the dog that passes the post": {1: range(16)},
    "the dog that comes in": {3: range(8, 16)},
    "the fastest dog": {1: range(16)},
    "the slowest dog": {2: range(16)},
    "the dogs that stay still": {2: range(16)},
    "the dogs except the one that stays still": {1: range(16), 3: range(8, 16)},
    "the dog while it is left of the post": {1: range(8)},
    "the dog when it touches the post": {1: range(7, 10)},
    "the dogs until 0:00.5": {1: range(5), 2: range(5)},
    "the dogs in the last 0.5 seconds": {1: range(12, 16), 2: range(12, 16), 3: range(12, 16)},
}
"""Query -> track -> the frames in which it is meant; see `tests.support.clips`."""


@pytest.mark.parametrize("query", ANSWERS)
def test_an_answer_holds_the_tracks_and_the_times_that_are_meant(query, dog_clip):
    video, sam3 = dog_clip
    found = run(Task.from_video(video, query), GrammarPlanner(VIDEO), sam3).masklets
    seen = {id: masklet.frames for id, masklet in zip(found.ids, found.masklets, strict=True)}
    assert seen == {id: tuple(frames) for id, frames in ANSWERS[query].items()}


def test_a_follow_up_may_say_what_tracks_do(dog_clip):
    video, sam3 = dog_clip
    talk, planner = Conversation.start_video(video), GrammarPlanner(VIDEO)
    for query in ("the dogs", "only the ones that move", "the fastest one"):
        talk = talk.say(query, planner, sam3)
    assert [turn.masklets.ids for turn in talk.turns] == [(1, 2, 3), (1, 3), (1,)]
