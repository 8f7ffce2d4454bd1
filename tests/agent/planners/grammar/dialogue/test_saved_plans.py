"""Plans that a conversation keeps: each comes back as it was, a damaged one is refused, and the query is read again."""

import json
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from agent import Budget, GrammarPlanner
from agent.conversation.conversation import Conversation
from agent.core.context import ConversationContext, PastTurn
from agent.planners.grammar.dialogue.interpret import interpret_follow_up
from agent.planners.grammar.dialogue.saved_plans import (
    MOST_NESTED,
    OPERATIONS,
    interpretation_from_json,
    interpretation_to_json,
    plan_from_json,
    plan_to_json,
)
from agent.planners.grammar.interpretation import Interpretation, compile_phrase, interpret_query
from agent.planners.grammar.plan import (
    Alternating,
    Counted,
    Difference,
    Fallback,
    Holding,
    Inscribed,
    Intersection,
    Lacking,
    Located,
    MaskIds,
    OddOne,
    Phrase,
    PreviousAnswer,
    Ranked,
    Related,
    RelativeToMean,
    Union,
    Unique,
    walk_parts,
)
from agent.records.episode_file import save_episode
from agent.records.provenance import Provenance
from sam3_tool import Image, Instances, Sam3
from sam3_tool.backends.scripted import ScriptedBackend
from tests.agent.planners.grammar.test_temporal import PLANS as TEMPORAL_PLANS

CUP, PLATE = Phrase("cup"), Phrase("plate")
PLANS = [
    CUP,
    PreviousAnswer(0),
    PreviousAnswer(1, ("cup", "plate")),
    MaskIds((3, 1), ("cup",)),
    Union((CUP, PLATE)),
    Difference(CUP, MaskIds((2,))),
    Intersection(PreviousAnswer(0), Phrase("red cup")),
    Related(CUP, "between", PLATE, Phrase("fork")),
    Located(CUP, "top_left"),
    Inscribed(CUP, "tea"),
    Ranked(CUP, "distance", "ascending", 2, 3, PLATE),
    RelativeToMean(CUP, "size", "descending"),
    Lacking(CUP, Phrase("lid")),
    Holding(CUP, Phrase("spoon"), 1, 2),
    Holding(CUP, Phrase("spoon"), 3),
    Alternating(CUP, "x", "descending", 1, 2),
    OddOne(CUP),
    Unique(PreviousAnswer(0)),
    Fallback(CUP, PLATE),
    Counted(CUP),
]
INTERPRETATIONS = [
    *(Interpretation(plan, change="choose") for plan in PLANS),
    Interpretation(None, complete=False),
    Interpretation(CUP, notes=("It was counted from the left.",)),
    Interpretation(Union((PreviousAnswer(0), CUP)), change="add", subject=CUP, chosen=(MaskIds((2,)), PLATE)),
    Interpretation(None, question="Which is meant?", options=("this", "that")),
]


@pytest.fixture
def cups() -> Sam3:
    masks = np.zeros((3, 20, 60), bool)
    for place, mask in enumerate(masks):
        mask[5:15, 20 * place : 20 * place + 10 + place] = True
    boxes = np.array([[20 * place, 5, 20 * place + 10 + place, 15] for place in range(3)], np.float32)
    found = Instances(masks, boxes, np.array([0.9, 0.8, 0.7], np.float32), 0.9, "")
    return Sam3(ScriptedBackend({None: {"cup": found, "red cup": found[[0]]}}))


def talk(sam3: Sam3, *queries: str) -> Conversation:
    conversation = Conversation.start(Image(np.zeros((20, 60, 3), np.uint8)))
    for query in queries:
        conversation = conversation.say(query, GrammarPlanner(), sam3)
    return conversation


def test_every_kind_of_plan_is_saved_as_json_and_comes_back():
    plans = [*PLANS, *TEMPORAL_PLANS.values()]
    assert {type(plan) for plan in plans} == set(OPERATIONS.values())
    assert [plan_from_json(json.loads(json.dumps(plan_to_json(plan)))) for plan in plans] == plans


@pytest.mark.parametrize("interpretation", INTERPRETATIONS, ids=lambda interpretation: str(interpretation.plan))
def test_an_interpretation_comes_back(interpretation):
    saved = json.loads(json.dumps(interpretation_to_json(interpretation)))
    assert interpretation_from_json(saved, turn=2) == interpretation


@pytest.mark.parametrize(
    "saved",
    [
        None,
        "cup",
        {},
        {"plan": {"op": "sing", "of": 1}},
        {"plan": {"op": "phrase"}},
        {"plan": {"op": "phrase", "text": 3}},
        {"plan": {"op": "phrase", "text": "cup", "more": 1}},
        {"plan": {"op": "count", "of": "cup"}},
        {"plan": {"op": "union", "parts": [{"op": "phrase", "text": "cup"}]}},
        {"plan": {"op": "mask_ids", "ids": ["1"]}},
        {"plan": {"op": "locate", "of": {"op": "phrase", "text": "cup"}, "place": "behind"}},
        {"plan": {"op": "rank", "of": {"op": "phrase", "text": "cup"}, "by": "size", "order": "ascending", "take": 0}},
        {"plan": {"op": "rank", "of": {"op": "phrase", "text": "cup"}, "by": "distance", "order": "ascending"}},
        {"plan": {"op": "previous_answer", "turn": 2}, "change": "keep"},
        {"plan": None, "change": "dance"},
        {"plan": None, "chosen": 3},
    ],
)
def test_what_is_no_saved_plan_is_refused(saved):
    with pytest.raises(ValueError, match="no saved plan"):
        interpretation_from_json(saved, turn=2)


def test_a_first_turn_cannot_change_an_answer():
    with pytest.raises(ValueError, match="not said before"):
        interpretation_from_json({"plan": {"op": "phrase", "text": "cup"}, "change": "add"}, turn=0)


def test_a_plan_that_no_json_library_takes_is_not_saved():
    plan = CUP
    for _ in range(MOST_NESTED):
        plan = Located(plan, "left")
    assert interpretation_to_json(Interpretation(plan)) is None
    assert interpretation_to_json(Interpretation(plan.of.of)) is not None


def test_a_turn_keeps_its_plan_in_the_file_of_its_conversation(cups, tmp_path):
    conversation = talk(cups, "the cups", "only the red ones")
    conversation.save(tmp_path / "talk.json")
    held = json.loads((tmp_path / "talk.json").read_text())
    assert held["events"][1]["plan"] == {"plan": {"op": "phrase", "text": "cup"}}
    again = Conversation.open(tmp_path / "talk.json")
    assert [turn.plan for turn in again.turns] == [turn.plan for turn in conversation.turns]
    assert again.context == conversation.context


def test_a_file_from_before_plans_were_saved_is_read_as_ever(cups, tmp_path):
    conversation = talk(cups, "the cups", "only the red ones")
    conversation.save(tmp_path / "talk.json")
    held = json.loads((tmp_path / "talk.json").read_text())
    for event in held["events"]:
        event.pop("plan", None)
    (tmp_path / "old.json").write_text(json.dumps(held))
    old = Conversation.open(tmp_path / "old.json")
    assert [turn.plan for turn in old.turns] == [None, None]
    for query in ("the others", "the same", "no, the left one", "how many are there?"):
        assert interpret_follow_up(query, old.context) == interpret_follow_up(query, conversation.context)


def test_a_saved_plan_counts_instead_of_the_words(cups):
    saved = interpretation_to_json(Interpretation(PLATE))
    cup = PastTurn("the cups", "answered", "", (1, 2), plan=saved)
    assert interpret_follow_up("the same", ConversationContext(None, (1, 2), (cup,))).plan == PLATE
    damaged = replace(cup, plan={"plan": {"op": "sing"}})
    assert interpret_follow_up("the same", ConversationContext(None, (1, 2), (damaged,))).plan == CUP


def test_a_stopped_turn_keeps_its_plan_too(cups):
    planner, start = GrammarPlanner(), talk(cups, "the cups")
    [*_, stopped] = start.watch("only the two largest", planner, cups, budget=Budget(max_steps=1))
    assert stopped.outcome == "step_limit"
    assert interpretation_from_json(stopped.plan, turn=1).change == "keep"


def test_an_episode_alone_is_saved_without_a_plan(cups, tmp_path):
    [episode] = talk(cups, "the cups").turns
    save_episode(episode, tmp_path / "episode.json", provenance=Provenance(planner="grammar", sam3="scripted"))
    assert '"plan"' not in (tmp_path / "episode.json").read_text()


def count_readings() -> int:
    """How many texts were read so far in this process, from memory or anew."""
    caches = (interpret_query.cache_info(), compile_phrase.cache_info())
    return sum(cache.hits + cache.misses for cache in caches)


def readings_of(conversation: Conversation, query: str) -> int:
    """How many texts the first decision of a turn reads."""
    start = count_readings()
    [*_] = interpret_follow_up(query, conversation.context).notes
    return count_readings() - start


@pytest.mark.parametrize(
    "query", ["the left one", "also the plates", "without number 2", "the same", "no, the red one"]
)
def test_a_decision_reads_as_much_after_thirty_turns_as_after_two(cups, query):
    words = ("only the largest ones", "the cups", "also number 1", "how many are there?", "the others")
    turns = [words[place % len(words)] for place in range(28)]
    short, long = talk(cups, "the cups", "not number 2"), talk(cups, "the cups", *turns, "the cups", "not number 2")
    assert len(long.turns) > 28
    assert readings_of(long, query) == readings_of(short, query) <= 3


def test_the_decisions_of_a_turn_read_as_much_each(cups):
    conversation = talk(cups, "the cups", "only the two largest", "the others")
    counts = []
    for episode in conversation.watch("the largest of them", GrammarPlanner(), cups):
        counts.append((len(episode.steps), count_readings()))
    each = [later[1] - earlier[1] for earlier, later in pairwise(counts)]
    assert len({*each}) == 1


def test_plans_of_earlier_turns_speak_of_earlier_turns_only(cups):
    conversation = talk(cups, "the cups", "only the two largest", "the others", "the same")
    for turn, episode in enumerate(conversation.turns):
        plan = interpretation_from_json(episode.plan, turn=turn).plan
        assert all(part.turn < turn for part in walk_parts(plan) if isinstance(part, PreviousAnswer))
