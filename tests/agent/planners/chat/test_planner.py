import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from agent import PAPER, Budget, ChatPlanner, Decision, Episode, Task, Tool, Usage, Verdict, parse_toolset, run
from agent.core.errors import PlannerError
from agent.models.base import Call, Capabilities, Messages, Reply, Schema
from agent.planners.chat.coordinates import detect_convention
from agent.planners.chat.prompt import build_messages
from agent.planners.chat.replies import CUT_OFF_NOTE
from agent.planners.chat.scripted_model import ScriptedModel
from agent.planners.chat.views import View
from agent.tools.paper import ExamineEachMask, SegmentPhrase, SelectMasksAndReturn
from agent.tools.toolsets import Answer, Combine, Count, Examine, Locate, Relate, Segment
from sam3_tool import Image, Instances, Sam3, ScriptedBackend
from sam3_tool.masks.boxes import masks_to_boxes


def call(tool: Tool) -> Call:
    return Call(tool.name, tool.to_decision().arguments)


def calls(*tools: Tool) -> Reply:
    return Reply(calls=tuple(map(call, tools)), finish_reason="tool_calls")


CUPS = call(Segment(phrases=["red cup"]))
PAPER_CUPS = call(SegmentPhrase(text_prompt="red cup"))
ONE = call(Answer(ids=[1]))
WRITTEN = 'The cup.\n<tool_call>\n{"name": "segment", "arguments": {"phrases": ["red cup"]}}\n</tool_call>'


class Answering:
    """A chat model that is a function of one conversation, and counts how it is asked."""

    name = "answering"

    def __init__(self, answer: Callable[[Messages, set[str]], Reply], **capabilities) -> None:
        self.answer = answer
        self.capabilities = Capabilities(**capabilities)
        self.asked: list[int] = []
        """How many conversations each request held."""
        self.seen: list[Messages] = []

    def generate_replies(self, conversations: Sequence[Messages], tools: Sequence[Schema]) -> list[Reply]:
        self.asked.append(len(conversations))
        self.seen += conversations
        return [self.answer(talk, {tool["function"]["name"] for tool in tools}) for talk in conversations]


@pytest.fixture
def answer_with(kitchen, kitchen_sam3):
    """The episode that these replies make."""

    def answer_with(*replies, protocol="workspace", view=None, budget=None, name="scripted", **settings) -> Episode:
        planner = ChatPlanner(ScriptedModel(replies, name=name, **settings), toolset=parse_toolset(protocol), view=view)
        return run(Task(kitchen, "the left cup"), planner, kitchen_sam3, budget=budget or Budget())

    return answer_with


@pytest.fixture
def found(answer_with) -> Episode:
    """Red cups 1 to 3, a saucer 4 and a table 5, and no answer yet."""
    episode = answer_with(call(Segment(phrases=["red cup", "saucer", "table"])), ONE)
    return Episode(episode.task, episode.steps[:1])


# --- episodes


def test_an_episode_of_the_workspace_from_the_query_to_reasons(answer_with):
    episode = answer_with(
        call(Segment(phrases=["red cup", "saucer"])),
        call(Relate(ids=[1, 2, 3], relation="on", to=[4])),
        call(Combine(op="minus", a=[1, 2, 3], b=[2])),
        call(Answer(ids=[1, 3], message="Two.", reasons=[{"id": 1, "reason": "no saucer under it"}])),
    )
    assert (episode.outcome, episode.current_ids, episode.message) == ("answered", (1, 3), "Two.")
    assert episode.reasons == {1: "no saucer under it"}
    usage = episode.usage
    assert (usage.model_calls, usage.images, usage.sam_encodes, usage.sam_decodes) == (4, 1 + 2 + 2 + 2, 1, 2)
    assert 4 * 3000 < usage.prompt_tokens < 4 * 4000
    assert usage.completion_tokens > 30


def test_an_episode_of_the_published_protocol(answer_with):
    episode = answer_with(
        call(SegmentPhrase(text_prompt="plate")),
        PAPER_CUPS,
        call(ExamineEachMask()),
        call(SelectMasksAndReturn(final_answer_masks=[2])),
        protocol="paper",
        verdicts={2: 0.1},
    )
    assert [step.observation.is_error for step in episode.steps] == [False] * 4
    assert episode.steps[2].observation.text == (
        "Kept 2 of 3 masks, with new numbers: 1 is now 1, 3 is now 2; rejected 2 (as scripted)."
    )
    assert (episode.outcome, episode.current_ids) == ("answered", (3,))
    assert episode.usage.model_calls == 4 + 3


def test_the_embedded_sam_3_answers_to_what_a_model_writes(tiny):
    picture = Image.open("examples/scene.png")
    script = [
        '<think>Fruit.</think>I look for both. {"tool": "segment", "arguments": {"phrases": "watermelon, banana"}}',
        '<tool_call>{"name": "segment", "parameters": {"phrases": ["watermelon", "banana",],}}</tool_call>',
        call(Examine(ids=[1, 2, 3, 4])),
        call(Answer(ids=[1, 3])),
    ]
    planner = ChatPlanner(ScriptedModel(script, verdicts={2: 0.2}))
    episode = run(Task(picture, "the watermelons"), planner, tiny)
    assert (episode.outcome, episode.current_ids, len(episode.answer)) == ("answered", (1, 3), 2)
    assert episode.steps[0].decision.reasoning == "Fruit."
    assert episode.steps[0].decision.thought == "I look for both."
    assert [verdict.accept for verdict in episode.steps[2].observation.verdicts] == [True, False, True, True]


def test_what_was_seen_at_a_step_follows_from_the_episode(answer_with, kitchen_sam3, kitchen):
    model = Answering(lambda talk, tools: Reply(calls=(CUPS if len(talk) == 2 else ONE,)))
    planner = ChatPlanner(model)
    episode = run(Task(kitchen, "q"), planner, kitchen_sam3)
    for done, seen in enumerate(model.seen):
        again = planner.build_messages(Episode(episode.task, episode.steps[:done]))
        assert [turn.calls for turn in again] == [turn.calls for turn in seen]
        assert [[getattr(part, "key", part) for part in turn.content] for turn in again] == [
            [getattr(part, "key", part) for part in turn.content] for turn in seen
        ]


def test_many_threads_may_share_a_planner(kitchen, kitchen_sam3):
    script = [call(Segment(phrases=["red cup", "table", "saucer"])), call(Examine(ids=[1, 2, 3, 4])), ONE]
    planner = ChatPlanner(ScriptedModel(script, verdicts={3: 0.0}))

    def one(number: int) -> Episode:
        return run(Task(kitchen, f"query {number}"), planner, kitchen_sam3)

    with ThreadPoolExecutor(8) as pool:
        episodes = list(pool.map(one, range(24)))
    assert {episode.outcome for episode in episodes} == {"answered"}
    assert {episode.steps[1].observation.shown for episode in episodes} == {(1, 2, 4)}


# --- slips


def test_every_slip_is_answered_with_one_sentence_and_the_episode_goes_on(answer_with, is_one_sentence):
    slips = ["Let me think about cups.", Call("segmnt", "{}"), Call("segment", '{"phrases": ['), ""]
    episode = answer_with(*slips, CUPS, ONE, budget=Budget(max_repairs=4))
    errors = [step.observation for step in episode.steps[:4]]
    assert all(error.is_error and is_one_sentence(error.text) for error in errors)
    assert (episode.outcome, episode.current_ids) == ("answered", (1,))


def test_after_too_many_slips_in_a_row_the_best_answer_so_far_is_given(answer_with):
    episode = answer_with(CUPS, "a", "b", "c", "d", ONE)
    assert (episode.outcome, episode.current_ids) == ("failed", (1, 2, 3))
    assert "after 4 mistakes in a row" in episode.message


def test_a_model_that_is_gone_costs_nothing_that_was_found(answer_with):
    episode = answer_with(CUPS, Reply(error="the server is gone"))
    assert (episode.outcome, episode.current_ids) == ("failed", (1, 2, 3))
    assert "the server is gone" in episode.message
    with pytest.raises(PlannerError, match="the server is gone"):
        answer_with(Reply(error="the server is gone"))


@pytest.mark.parametrize("protocol", ["workspace", "paper"])
def test_a_script_that_ends_too_early_says_so(answer_with, protocol):
    episode = answer_with(CUPS if protocol == "workspace" else PAPER_CUPS, protocol=protocol)
    assert "the script ended after 1 reply, before the episode did" in episode.message


def cut_off_unless(is_short: Callable[[Messages], bool], then: Tool) -> Answering:
    cost = Usage(model_calls=1, prompt_tokens=100)

    def answer(talk: Messages, tools: set[str]) -> Reply:
        return Reply(calls=(call(then),), usage=cost) if is_short(talk) else Reply(finish_reason="length", usage=cost)

    return Answering(answer)


def test_a_reply_that_is_cut_off_is_asked_for_again_with_less_history(found):
    long = Episode(found.task, (*found.steps, *found.steps, *found.steps))
    model = cut_off_unless(lambda talk: len(talk) <= 6, Count(ids=[1]))
    decision = ChatPlanner(model).decide(long)
    assert (decision.tool, decision.usage) == ("count", Usage(model_calls=2, prompt_tokens=200))
    assert [len(talk) for talk in model.seen] == [8, 6]
    assert "red cup" in model.seen[1][1].content[1]


def test_what_cannot_be_shortened_is_not_asked_again_but_told_to_be_brief(kitchen):
    model = cut_off_unless(lambda talk: False, Count(ids=[1]))
    decision = ChatPlanner(model).decide(Episode(Task(kitchen, "q")))
    assert (decision.tool, decision.note, model.asked) == ("", CUT_OFF_NOTE, [1])


def test_a_request_that_is_refused_is_tried_again_with_less_history(found):
    long = Episode(found.task, found.steps * 4)
    refused = Reply(error="the prompt is too long", recoverable=False)
    model = Answering(lambda talk, tools: refused if len(talk) > 6 else calls(Count(ids=[1])))
    assert ChatPlanner(model).decide(long).tool == "count"
    with pytest.raises(PlannerError, match="too long"):
        ChatPlanner(Answering(lambda talk, tools: refused)).decide(long)


def test_what_does_not_fit_the_models_context_is_shortened_before_it_is_sent(found):
    model = Answering(lambda talk, tools: calls(Count(ids=[1])), context=5000)
    ChatPlanner(model).decide(Episode(found.task, found.steps * 30))
    assert [len(talk) for talk in model.seen] == [6]


# --- several calls in one reply


def test_segment_calls_of_one_reply_are_one_call(answer_with):
    several = calls(Segment(phrases=["red cup"]), Segment(phrases=["table", "red cup"]), Segment(phrases=["saucer"]))
    episode = answer_with(several, ONE)
    first = episode.steps[0]
    assert json.loads(first.decision.arguments) == {"phrases": ["red cup", "table", "saucer"]}
    assert first.decision.note == ""
    assert (first.observation.usage.sam_encodes, first.observation.usage.sam_decodes) == (1, 3)


@pytest.mark.parametrize(
    "others",
    [[Segment(phrases=["table"], threshold=0.3)], [Count(ids=[1])], [Locate(ids=[1], place="left"), Answer(ids=[1])]],
    ids=["another threshold", "another tool", "two other tools"],
)
def test_of_calls_that_cannot_be_one_the_first_is_made_and_the_model_is_told(answer_with, others):
    decision = answer_with(calls(Segment(phrases=["red cup"]), *others), ONE).steps[0].decision
    assert (decision.tool, decision.arguments) == ("segment", CUPS.arguments)
    assert decision.note.startswith(f"Of the {1 + len(others)} calls in that reply only the first was made")


def test_segment_calls_before_another_call_are_one_and_the_other_is_left(answer_with):
    mixed = calls(Segment(phrases=["red cup"]), Segment(phrases=["table"]), Count(ids=[1]))
    decision = answer_with(mixed, ONE).steps[0].decision
    assert json.loads(decision.arguments) == {"phrases": ["red cup", "table"]}
    assert decision.note.startswith("Of the 3 calls in that reply only the first 2 was made")


def test_more_phrases_than_a_call_takes_are_named(answer_with):
    many = calls(*(Segment(phrases=[f"thing {number}"]) for number in range(10)))
    first = answer_with(many, ONE, budget=Budget(max_steps=1)).steps[0]
    assert len(json.loads(first.decision.arguments)["phrases"]) == 8
    assert first.decision.note == "One call takes 8 phrases, so these were not asked for: 'thing 8', 'thing 9'."
    assert not first.observation.is_error


def test_the_same_call_twice_is_one(answer_with):
    decision = answer_with(Reply(calls=(CUPS, CUPS)), ONE).steps[0].decision
    assert (decision.arguments, decision.note) == (CUPS.arguments, "")


def test_the_published_protocol_takes_the_first_call(answer_with):
    episode = answer_with(
        calls(SegmentPhrase(text_prompt="red cup"), SegmentPhrase(text_prompt="table")),
        call(SelectMasksAndReturn(final_answer_masks=[3])),
        protocol="paper",
    )
    assert episode.current_ids == (3,)
    assert "only the first was made" in episode.steps[0].decision.note


# --- coordinates and views


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("openai:Qwen/Qwen3-VL-8B-Instruct", [500, 0, 1000, 1000]),
        ("openai:gemini-2.5-flash", [0, 500, 1000, 1000]),
        ("openai:gpt-5", [25, 0, 50, 30]),
    ],
)
def test_a_region_means_the_same_place_to_every_family_of_models(answer_with, name, written):
    asked = Call("segment", json.dumps({"phrases": ["cup"], "region": written}))
    episode = answer_with(asked, ONE, name=name, view=View(image_side=50))
    assert json.loads(episode.steps[0].decision.arguments)["region"] == [50, 0, 100, 60]
    assert episode.workspace[1].origin == "segment in 50,0,100,60"
    assert (episode.outcome, episode.workspace[1].box) == ("answered", (60, 40, 70, 50))


@pytest.mark.parametrize(
    ("name", "point", "box"),
    [
        ("openai:Qwen/Qwen3-VL-8B-Instruct", {"x": 350, "y": 500}, [300, 333, 400, 500]),
        ("openai:gemini-2.5-flash", {"x": 350, "y": 500}, [333, 300, 500, 400]),
        ("openai:gpt-5", {"x": 35, "y": 30}, [30, 20, 40, 30]),
    ],
)
def test_points_and_boxes_mean_the_same_place_to_every_family_of_models(answer_with, name, point, box):
    refine = Call("refine", json.dumps({"points": [point], "box": box}))
    look = Call("segment", json.dumps({"phrases": ["cup"], "boxes": [box]}))
    episode = answer_with(look, refine, ONE, name=name)
    for step, boxes in zip(episode.steps[:2], ("boxes", "box"), strict=True):
        found = json.loads(step.decision.arguments)[boxes]
        assert np.allclose(found, [30, 20, 40, 30], atol=0.1)
    assert json.loads(episode.steps[1].decision.arguments)["points"] == [{"x": 35, "y": 30}]
    told = build_messages(replace(episode, steps=episode.steps[:2]), view=View(coordinates=detect_convention(name)))
    calls = [json.loads(call.arguments) for turn in told for call in turn.calls]
    assert calls == [json.loads(look.arguments), json.loads(refine.arguments)]


def test_a_region_in_a_call_that_is_written_carelessly_is_converted_too(answer_with):
    careless = Call("Segment", '{"arguments": {"phrase": "cup", "bbox": ["500", 0, 1000, 1000,]}}')
    episode = answer_with(careless, ONE, name="qwen3-vl")
    assert episode.workspace[1].origin == "segment in 50,0,100,60"


def test_the_view_is_settled_by_what_the_model_is():
    able = Capabilities(images=2, context=8000)
    settled = ChatPlanner(ScriptedModel([], name="openai:qwen3-vl", capabilities=able)).view
    assert settled == View(1280, "qwen", images=2, context=8000)
    chosen = View(640, "pixels", images=1, context=100)
    assert ChatPlanner(ScriptedModel([], name="openai:qwen3-vl", capabilities=able), view=chosen).view == chosen


# --- examinations


def one_verdict(**fields) -> Reply:
    return Reply(calls=(Call("verdict", json.dumps({"reason": "r", **fields})),), usage=Usage(model_calls=1))


def on_sheet(*verdicts: dict) -> Reply:
    return Reply(calls=(Call("verdicts", json.dumps({"verdicts": verdicts})),), usage=Usage(model_calls=1))


@pytest.fixture
def many() -> Episode:
    """25 things in a row."""
    masks = np.zeros((25, 40, 200), bool)
    for place, mask in enumerate(masks):
        mask[10:30, 8 * place : 8 * place + 6] = True
    things = Instances(masks, masks_to_boxes(masks), np.full(25, 0.9, np.float32), presence=0.9, phrase="")
    sam3 = Sam3(ScriptedBackend({None: {"thing": things}}))
    picture = Image(np.full((40, 200, 3), 90, np.uint8))
    planner = ChatPlanner(ScriptedModel([call(Segment(phrases=["thing"])), ONE]))
    episode = run(Task(picture, "q"), planner, sam3)
    return Episode(episode.task, episode.steps[:1])


@pytest.mark.parametrize(
    ("number", "closely", "protocol", "requests"),
    [
        (1, False, "workspace", 1),
        (3, False, "workspace", 3),
        (4, False, "workspace", 1),
        (12, False, "workspace", 1),
        (13, False, "workspace", 2),
        (25, False, "workspace", 3),
        (13, True, "workspace", 13),
        (13, False, "paper", 13),
        (0, False, "workspace", 0),
    ],
)
def test_all_requests_of_an_examination_go_out_together(many, number, closely, protocol, requests):
    scripted = ScriptedModel([], verdicts={2: 0.25})
    model = Answering(
        lambda talk, tools: scripted.generate_replies([talk], [{"function": {"name": name}} for name in tools])[0]
    )
    ids = range(1, number + 1)
    verdicts = ChatPlanner(model, toolset=parse_toolset(protocol)).examine(many, ids, closely=closely)
    assert model.asked == ([requests] if requests else [])
    assert [verdict.id for verdict in sorted(verdicts, key=lambda one: one.id)] == list(ids)
    assert [(one.accept, one.probability) for one in verdicts if one.id == 2] == [(False, 0.25)] * (number >= 2)


def test_verdicts_of_the_published_protocol_go_by_current_numbers(answer_with, found):
    episode = Episode(found.task, found.steps)
    model = Answering(
        lambda talk, tools: one_verdict(accept=talk[1].content[-1].endswith("Number: 2"), probability=0.5)
    )
    judged = ChatPlanner(model, toolset=PAPER).examine(episode, [1, 2, 3, 4, 5])
    assert [verdict.id for verdict in judged if verdict.accept] == [2]


@pytest.mark.parametrize(
    ("said", "accept", "probability"),
    [
        ({"accept": True, "probability": 0.8}, True, 0.8),
        ({"accept": "no", "probability": 0.1}, False, 0.1),
        ({"accept": "Accept", "probability": "90%"}, True, 0.9),
        ({"verdict": "reject", "confidence": "0.2"}, False, 0.2),
        ({"accept": True, "probability": 7}, True, 1.0),
        ({"accept": False, "probability": -1e300}, False, 0.0),
        ({"accept": True}, True, 1.0),
        ({"accept": False, "probability": None}, False, 0.0),
        ({"probability": 0.3}, False, 0.3),
        ({"accept": True, "probability": 0.1}, True, 0.9),
        ({"accept": False, "probability": 0.95}, False, pytest.approx(0.05)),
    ],
)
def test_a_verdict_is_read_forgivingly_and_acceptance_wins(found, said, accept, probability):
    [one] = ChatPlanner(Answering(lambda talk, tools: one_verdict(**said))).examine(found, [2])
    assert (one.id, one.accept, one.probability, one.reason) == (2, accept, probability, "r")
    four = [{"number": number, **said} for number in (1, 2, 3, 4)]
    sheet = ChatPlanner(Answering(lambda talk, tools: on_sheet(*four))).examine(found, [1, 2, 3, 4])
    assert [(each.accept, each.probability) for each in sheet] == [(accept, probability)] * 4


UNREADABLE = [
    Reply(text="It looks right to me.", usage=Usage(model_calls=1)),
    Reply(calls=(Call("verdict", '{"accept": "perhaps", "probability": 1}'),), usage=Usage(model_calls=1)),
    Reply(calls=(Call("verdicts", '{"verdicts": 3}'),), usage=Usage(model_calls=1)),
    Reply(calls=(Call("segment", "{"),), usage=Usage(model_calls=1)),
    Reply(calls=(Call("verdict", '{"accept": true, "probability": NaN}'),), usage=Usage(model_calls=1)),
    Reply(calls=(Call("verdict", f'{{"probability": {"9" * 400}}}'),), usage=Usage(model_calls=1)),
    Reply(calls=(Call("verdict", f'{{"accept": true, "probability": {"9" * 5000}}}'),), usage=Usage(model_calls=1)),
    Reply(calls=(Call("verdict", '{"accept": ["yes"]}'),), usage=Usage(model_calls=1)),
    Reply(calls=(Call("verdict", '{"accept": {"yes": 1}, "probability": 1}'),), usage=Usage(model_calls=1)),
]


@pytest.mark.parametrize("unreadable", UNREADABLE, ids=range(len(UNREADABLE)))
def test_a_verdict_that_cannot_be_read_is_asked_for_once_more(found, unreadable):
    model = Answering(lambda talk, tools: one_verdict(accept=True, probability=0.7) if len(talk) > 2 else unreadable)
    assert ChatPlanner(model).examine(found, [1, 2]) == [
        Verdict(id, True, 0.7, "r", Usage(model_calls=2)) for id in (1, 2)
    ]
    assert model.asked == [2, 2]
    complaint = model.seen[-1][-1].content[0]
    assert complaint.endswith(".")
    assert len(complaint) < 400


@pytest.mark.parametrize("unreadable", UNREADABLE, ids=range(len(UNREADABLE)))
def test_a_mask_without_a_readable_verdict_is_left_out_and_its_cost_is_not(found, unreadable):
    def answer(talk: Messages, tools: set[str]) -> Reply:
        return one_verdict(accept=False, probability=0.2) if "Number: 3" in talk[1].content[-1] else unreadable

    judged = ChatPlanner(Answering(answer)).examine(found, [1, 2, 3])
    assert judged == [Verdict(3, False, 0.2, "r", Usage(model_calls=1 + 2 + 2))]
    nothing = ChatPlanner(Answering(lambda talk, tools: unreadable)).examine(found, [1, 2])
    assert [(verdict.id, verdict.usage.model_calls) for verdict in nothing] == [(0, 4)]


def test_an_examination_without_verdicts_changes_nothing_and_is_paid_for(kitchen, kitchen_sam3):
    def answer(talk: Messages, tools: set[str]) -> Reply:
        if "segment" not in tools:
            return UNREADABLE[0]
        return [calls(Segment(phrases=["red cup"])), calls(Examine(ids=[1, 2, 3])), calls(Answer(ids=[1]))][
            sum(turn.role == "assistant" for turn in talk)
        ]

    episode = run(Task(kitchen, "q"), ChatPlanner(Answering(answer)), kitchen_sam3)
    assert episode.steps[1].observation.text.endswith("not judged, so kept: 1 to 3.")
    assert (episode.outcome, episode.usage.model_calls) == ("answered", 6)


def test_a_server_that_fails_in_an_examination_is_not_asked_again(found):
    model = Answering(lambda talk, tools: Reply(error="gone"))
    assert ChatPlanner(model).examine(found, [1, 2, 3, 4]) == []
    assert model.asked == [1]


def test_what_a_sheet_leaves_out_is_asked_for_once_more(found):
    yes = {"reason": "", "accept": True, "probability": 0.9}

    def answer(talk: Messages, tools: set[str]) -> Reply:
        if len(talk) == 2:
            return on_sheet({"number": 1, **yes}, {"number": 3, **yes}, {"number": 77, **yes})
        return on_sheet(*({"number": number, **yes, "accept": False} for number in (1, 2)))

    model = Answering(answer)
    judged = ChatPlanner(model).examine(found, [1, 2, 3, 4])
    assert {verdict.id: verdict.accept for verdict in judged} == {1: True, 2: False, 3: True}
    assert model.seen[1][-1].content[0] == "There is no verdict for 2 and 4; give one for each number in one call."
    assert sum(verdict.usage.model_calls for verdict in judged) == 2


NO, YES = (json.dumps({"accept": said, "probability": 0.9, "reason": "r"}) for said in (False, True))


@pytest.mark.parametrize("order", [(YES, NO), (NO, YES), (YES, YES, NO)])
def test_a_mask_that_is_accepted_and_rejected_in_one_reply_is_asked_for_once_more(found, order, is_one_sentence):
    torn = Reply(calls=tuple(Call("verdict", said) for said in order), usage=Usage(model_calls=1))
    model = Answering(lambda talk, tools: one_verdict(accept=False, probability=0.2) if len(talk) > 2 else torn)
    assert ChatPlanner(model).examine(found, [1]) == [Verdict(1, False, 0.2, "r", Usage(model_calls=2))]
    assert is_one_sentence(model.seen[-1][-1].content[0])
    stubborn = ChatPlanner(Answering(lambda talk, tools: torn)).examine(found, [1])
    assert [(verdict.id, verdict.usage.model_calls) for verdict in stubborn] == [(0, 2)], "it stays unjudged"


def test_verdicts_that_agree_are_one(found):
    twice = Reply(calls=(Call("verdict", NO), Call("verdict", "{"), Call("verdict", NO)), usage=Usage(model_calls=1))
    (judged,) = ChatPlanner(Answering(lambda talk, tools: twice)).examine(found, [1])
    assert (judged.accept, judged.usage.model_calls) == (False, 1)


def test_a_number_of_a_sheet_that_is_accepted_and_rejected_is_asked_for_once_more(found):
    yes = {"reason": "", "accept": True, "probability": 0.9}

    def answer(talk: Messages, tools: set[str]) -> Reply:
        if len(talk) == 2:
            return on_sheet(*({"number": n, **yes} for n in (1, 2, 3)), {"number": 2, **yes, "accept": False})
        return on_sheet({"number": 2, **yes}, {"number": 4, **yes, "accept": False})

    model = Answering(answer)
    judged = ChatPlanner(model).examine(found, [1, 2, 3, 4])
    assert {verdict.id: verdict.accept for verdict in judged} == {1: True, 2: True, 3: True, 4: False}
    assert model.seen[1][-1].content[0] == (
        "There is no verdict for 4, and 2 is both accepted and rejected; give one for each number in one call."
    )


@pytest.mark.parametrize("number", ["9" * 400, f"-{'9' * 400}", "1e999", '["yes"]', "{}"])
@pytest.mark.parametrize("field", ["number", "accept", "probability", "reason"])
def test_what_no_number_of_a_sheet_can_be_does_no_harm(found, field, number):
    written = f'{{"verdicts": [{{"number": 1, "accept": false}}, {{"number": 2, "{field}": {number}}}]}}'
    reply = Reply(calls=(Call("verdicts", written),), usage=Usage(model_calls=1))
    judged = ChatPlanner(Answering(lambda talk, tools: reply)).examine(found, [1, 2, 3, 4])
    assert sum(verdict.usage.model_calls for verdict in judged) == 2


def test_a_hostile_verdict_does_no_harm(found):
    hostile = Reply(text="x" * 10**6, calls=(Call("\ud800" * 10**5, "[" * 10**5),))
    model = Answering(lambda talk, tools: hostile)
    assert ChatPlanner(model).examine(found, [1, 2, 3, 4, 5]) == []
    assert max(len(part) for turn in model.seen[1][2:] for part in turn.content) < 5000


def test_a_decision_keeps_what_the_model_thought_and_said():
    model = Answering(lambda talk, tools: Reply("Cups.", "Hm, cups.", (CUPS,), usage=Usage(model_calls=1)))
    decision = ChatPlanner(model).decide(Episode(Task(Image(np.zeros((9, 9, 3), np.uint8)), "q")))
    assert decision == Decision("segment", CUPS.arguments, "Cups.", Usage(model_calls=1), "Hm, cups.")


def test_a_text_may_hold_the_call(answer_with):
    episode = answer_with(WRITTEN, ONE)
    assert (episode.steps[0].decision.thought, episode.outcome) == ("The cup.", "answered")
