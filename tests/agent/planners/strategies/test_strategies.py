"""Strategies: small questions to a language model, what is made of the answers, and which questions are saved."""

import json
from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

from agent import PAPER, VIDEO, Budget, Episode, ScriptedModel, Task, run
from agent.cli.main import app
from agent.conversation.conversation import Conversation
from agent.core.budget import DEFAULT_BUDGET
from agent.core.errors import PlannerError
from agent.core.usage import Usage
from agent.core.workspace import Workspace
from agent.models.base import Call, Reply
from agent.planners.chat.planner import ChatPlanner
from agent.planners.loading import build_chat_planner, load_planner, with_model_info, wrap_recording
from agent.planners.replay import load_replay
from agent.planners.strategies.evidence import choose_representatives, find_uncertain
from agent.planners.strategies.options import Strategies
from agent.planners.strategies.planner import StrategyPlanner
from agent.planners.strategies.replies import CheckAnswer, Compare, Propose, read_reply_as
from agent.planners.strategies.stopping import is_worth_asking
from agent.records.provenance import Provenance
from agent.report.prompt_trace import reconstruct_prompts
from sam3_tool import Instances, Sam3
from sam3_tool.masks.boxes import masks_to_boxes
from tests.support.chat_server import ChatServer, completion

CERTAIN = {1: 0.98, 2: 0.02, 3: 0.03, 4: 0.02, 5: 0.02}
BOX_OF_SECOND = [30, 20, 40, 30]


def propose(*phrases, **more) -> Call:
    return Call("propose", json.dumps({"phrases": phrases, **more}))


def answer_query(kitchen, sam3: Sam3, strategies: str, *, query="a thing to drink from", budget=None, **script):
    script.setdefault("answers", {"propose": [propose("red cup")]})
    model = ScriptedModel([], verdicts=script.pop("verdicts", CERTAIN), **script)
    budget = budget or DEFAULT_BUDGET
    planner = StrategyPlanner(model, strategies=Strategies.parse(strategies), budget=budget)
    return run(Task(kitchen, query), planner, sam3, budget=budget)


def list_tools(episode: Episode) -> list[str]:
    return [step.decision.tool for step in episode.steps]


# --- each strategy ----------------------------------------------------------------------------------------------------


def test_short_questions_find_what_is_meant_with_two_requests(kitchen, kitchen_sam3):
    episode = answer_query(kitchen, kitchen_sam3, "short-questions")
    assert list_tools(episode) == ["segment", "examine", "answer"]
    assert (episode.current_ids, episode.usage.model_calls, episode.outcome) == ((1,), 2, "answered")
    assert episode.reasons == {1: "as scripted"}


def test_all_things_that_are_meant_are_the_answer(kitchen, kitchen_sam3):
    answers = {"propose": [propose("red cup", several=True)]}
    episode = answer_query(kitchen, kitchen_sam3, "short-questions", answers=answers, verdicts={1: 0.9, 2: 0.8, 3: 0.1})
    assert episode.current_ids == (1, 2)


def test_hypotheses_share_one_encode_and_the_models_box_is_a_rival(kitchen, kitchen_sam3):
    answers = {"propose": [propose("red cup", "cup", "saucer", box=BOX_OF_SECOND)]}
    doubtful = dict.fromkeys(range(1, 9), 0.1) | {2: 0.6, 4: 0.6}
    episode = answer_query(kitchen, kitchen_sam3, "hypotheses", answers=answers, verdicts=doubtful)
    assert list_tools(episode)[:3] == ["segment", "refine", "examine"]
    assert episode.usage.sam_encodes == 1
    assert episode.current_ids == (2,)  # where the box is
    without = answer_query(kitchen, kitchen_sam3, "short-questions", answers=answers, verdicts={1: 0.6, 2: 0.6})
    assert "refine" not in list_tools(without)


def test_what_the_grammar_reads_is_one_of_the_hypotheses(kitchen, kitchen_sam3):
    answers = {"propose": [propose("mug")]}
    for query, phrases in (("the largest red cup", ["mug", "red cup"]), ("a thing to drink from", ["mug"])):
        episode = answer_query(kitchen, kitchen_sam3, "hypotheses", query=query, answers=answers)
        assert [search.phrase for search in episode.searches][: len(phrases)] == phrases
    without = answer_query(kitchen, kitchen_sam3, "second-looks", query="the largest red cup", answers=answers)
    assert [search.phrase for search in without.searches][0:1] == ["mug"]


def test_one_object_under_several_phrases_is_judged_once(kitchen, kitchen_sam3):
    answers = {"propose": [propose("red cup", "cup")]}
    episode = answer_query(kitchen, kitchen_sam3, "hypotheses", answers=answers)
    [judged] = [step.observation.verdicts for step in episode.steps if step.observation.verdicts]
    assert len(judged) == 4  # of red cups three, of cups one more


def test_only_what_is_uncertain_is_looked_at_again(kitchen, kitchen_sam3):
    certain = answer_query(kitchen, kitchen_sam3, "second-looks")
    several = {"propose": [propose("red cup", several=True)]}
    unsure = {1: 0.98, 2: 0.55, 3: 0.02}
    doubtful = answer_query(kitchen, kitchen_sam3, "second-looks", answers=several, verdicts=unsure)
    assert (certain.usage.model_calls, doubtful.usage.model_calls) == (2, 3)
    assert doubtful.current_ids == (1, 2)


def test_near_ties_are_compared_in_pairs(kitchen, kitchen_sam3):
    def ask(better):
        answers = {
            "propose": [propose("red cup")],
            "compare": [Call("compare", json.dumps({"better": better, "probability": 0.9}))],
        }
        tied = {1: 0.9, 2: 0.88, 3: 0.01}
        return answer_query(kitchen, kitchen_sam3, "second-looks", answers=answers, verdicts=tied).current_ids

    assert (ask(1), ask(2)) == ((1,), (2,))
    assert ask(3) == (1,)  # none of the two


def test_a_tournament_compares_rivals_that_second_looks_pass_over(kitchen, kitchen_sam3):
    def ask(strategies):
        answers = {
            "propose": [propose("red cup")],
            "compare": [Call("compare", json.dumps({"better": 2, "probability": 0.95}))],
        }
        apart = {1: 0.95, 2: 0.75, 3: 0.01}
        episode = answer_query(kitchen, kitchen_sam3, strategies, answers=answers, verdicts=apart)
        return episode.current_ids, episode.usage.model_calls

    assert ask("second-looks") == ((1,), 2)
    assert ask("second-looks,tournament") == ask("tournament") == ((2,), 4)


def test_in_a_tournament_outlines_of_one_object_that_differ_are_rivals():
    masks = np.zeros((2, 20, 20), bool)
    masks[0, 5:15, 5:15] = masks[1, 5:15, 5:12] = True  # an IoU of 0.7, nearly
    masks[1, 5, 12] = masks[1, 6, 12] = masks[1, 7, 12] = True
    found = Instances(masks, masks_to_boxes(masks), np.array([0.9, 0.8], np.float32), 0.9, "cup")
    workspace = Workspace(20, 20).with_search(found)
    for strategies, kept in ((Strategies(), [1]), (Strategies(tournament=True), [1, 2])):
        assert choose_representatives(workspace, (1, 2), least=strategies.same_outline) == kept


def test_what_a_check_misses_is_added_and_what_is_too_much_goes(kitchen, kitchen_sam3):
    def ask(check, verdicts):
        answers = {"propose": [propose("saucer", several=True)], "check": [Call("check", json.dumps(check))]}
        return answer_query(kitchen, kitchen_sam3, "working-mask", answers=answers, verdicts=verdicts)

    added = ask({"missing": [[80, 5, 90, 15]]}, {1: 0.9, 2: 0.9})
    assert list_tools(added) == ["segment", "examine", "refine", "examine", "answer"]
    assert added.current_ids == (1, 2)
    assert added.workspace[2].box == pytest.approx((80, 5, 90, 15))
    assert ask({}, {1: 0.9}).current_ids == (1,)
    refused = ask({"missing": [[80, 5, 90, 15]]}, {1: 0.9, 2: 0.1})
    assert refused.current_ids == (1,)


def test_a_check_takes_one_of_several_masks_away(kitchen, kitchen_sam3):
    answers = {
        "propose": [propose("red cup", several=True)],
        "check": [Call("check", '{"wrong": [3], "missing": []}')],
    }
    verdicts = {1: 0.9, 2: 0.9, 3: 0.7}
    episode = answer_query(kitchen, kitchen_sam3, "working-mask", answers=answers, verdicts=verdicts)
    assert episode.current_ids == (1, 2)


def test_a_query_that_is_read_whole_and_answered_with_certainty_needs_no_model(kitchen, kitchen_sam3):
    routed = answer_query(kitchen, kitchen_sam3, "router", query="the largest red cup")
    assert (routed.usage.model_calls, routed.outcome, len(routed.current_ids)) == (0, "answered", 1)
    for query in ("a thing to drink from", "the saucer", "the unicorns"):  # not read, found with 0.7, not found
        assert answer_query(kitchen, kitchen_sam3, "router", query=query).usage.model_calls > 0


def test_the_stop_rule_asks_no_further_where_little_is_to_be_won_or_left(kitchen, kitchen_sam3):
    unsure = {1: 0.7, 2: 0.45, 3: 0.02}

    def count_requests(strategies, **more):
        answers = {"propose": [propose("red cup", several=True)], "check": [Call("check", "{}")]}
        episode = answer_query(kitchen, kitchen_sam3, strategies, answers=answers, verdicts=unsure, **more)
        return episode.usage.model_calls

    every = "second-looks,working-mask"
    assert count_requests(every) == count_requests(f"{every},stop-rule") == 4
    assert count_requests(f"{every},stop-rule", budget=Budget(max_tokens=2500)) < 4
    assert not is_worth_asking(0.5, 1000, Usage(prompt_tokens=9500), Budget(max_tokens=10_000))


# --- replies of all sorts ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "reply",
    [
        Reply("A cup, I think."),
        Reply(""),
        Call("propose", "{}"),
        Call("propose", '{"phrases": []}'),
        Call("propose", '{"phrases": 7, "several": "perhaps"}'),
        Call("propose", "[1, 2"),
        Call("fly", '{"phrases": ["cup"]}'),
        Call("propose", json.dumps({"phrases": ["x" * 5000]})),
        Call("propose", '{"phrases": ["cup"], "box": [1, 2]}'),
    ],
)
def test_a_proposal_that_cannot_be_read_is_asked_for_again_and_then_the_query_is_the_phrase(
    reply, kitchen, kitchen_sam3
):
    mended = answer_query(kitchen, kitchen_sam3, "hypotheses", answers={"propose": [reply, propose("red cup")]})
    assert (mended.current_ids, mended.usage.model_calls) == ((1,), 3)
    stuck = answer_query(kitchen, kitchen_sam3, "hypotheses", query="red cup", answers={"propose": [reply]})
    assert (stuck.searches[0].phrase, stuck.current_ids) == ("red cup", (1,))


@pytest.mark.parametrize("box", [[0, 0, 0, 0], [900, 900, 950, 950], [-5, -5, -1, -1], [40, 30, 30, 20]])
def test_a_box_that_cannot_be_costs_nothing_that_was_found(box, kitchen, kitchen_sam3):
    answers = {"propose": [propose("red cup", box=box)]}
    episode = answer_query(kitchen, kitchen_sam3, "hypotheses", answers=answers)
    assert (episode.outcome, episode.current_ids) == ("answered", (1,))


@pytest.mark.parametrize("reply", [Reply("Both."), Call("compare", "{}"), Call("compare", '{"better": 99}')])
def test_a_comparison_that_says_nothing_changes_nothing(reply, kitchen, kitchen_sam3):
    answers = {"propose": [propose("red cup")], "compare": [reply]}
    episode = answer_query(kitchen, kitchen_sam3, "second-looks", answers=answers, verdicts={1: 0.9, 2: 0.88, 3: 0.01})
    assert episode.current_ids == (1,)


@pytest.mark.parametrize(
    "reply", [Reply("Fine."), Call("check", '{"missing": "everything"}'), Call("check", '{"wrong": [77]}')]
)
def test_a_check_that_cannot_be_followed_leaves_the_answer(reply, kitchen, kitchen_sam3):
    episode = answer_query(
        kitchen, kitchen_sam3, "working-mask", answers={"propose": [propose("red cup")], "check": [reply]}
    )
    assert (episode.outcome, episode.current_ids) == ("answered", (1,))


def test_where_all_is_rejected_it_is_asked_once_more_and_then_nothing_is_reported(kitchen, kitchen_sam3):
    rejected = dict.fromkeys(range(1, 20), 0.01)
    answers = {"propose": [propose("red cup")]}
    episode = answer_query(kitchen, kitchen_sam3, "short-questions", answers=answers, verdicts=rejected)
    assert list_tools(episode) == ["segment", "examine", "segment", "examine", "report_no_mask"]
    assert episode.searches[1].phrase == "cup"  # the same phrase again, without its adjective


def test_a_model_that_is_gone_is_one_line(kitchen, kitchen_sam3):
    with pytest.raises(PlannerError, match="no route"):
        answer_query(kitchen, kitchen_sam3, "hypotheses", answers={"propose": [Reply(error="no route to host")]})


@pytest.mark.parametrize(
    ("tool", "call", "wanted"),
    [
        (Propose, Call("segment", '{"text_prompt": "cup"}'), ["cup"]),
        (Propose, Call("Propose", '{"arguments": {"phrases": "cup", "many": true}}'), ["cup"]),
        (Compare, Call("compare", '{"winner": "2", "confidence": "80 %"}'), (2, 0.8)),
        (CheckAnswer, Call("check", '{"missing": [1, 2, 3, 4], "wrong": 3}'), ([[1, 2, 3, 4]], [3])),
    ],
)
def test_other_spellings_are_read(tool, call, wanted):
    read = read_reply_as(Reply(calls=(call,)), tool)
    found = {
        Propose: lambda: read.phrases,
        Compare: lambda: (read.better, read.probability),
        CheckAnswer: lambda: (read.boxes, read.wrong),
    }[tool]()
    assert found == wanted


@pytest.mark.parametrize(
    ("model_name", "propose_box", "missing_box"),
    [
        ("Qwen2.5-VL-7B", [30, 20, 40, 30], [80, 5, 90, 15]),
        ("Qwen3-VL-8B", [300, 333, 400, 500], [800, 83, 900, 250]),
        ("gemini-3-pro", [333, 300, 500, 400], [83, 800, 250, 900]),
    ],
)
def test_boxes_are_read_as_the_family_of_the_model_writes_them(
    model_name, propose_box, missing_box, kitchen, kitchen_sam3
):
    answers = {
        "propose": [propose("saucer", several=True, box=propose_box)],
        "check": [Call("check", json.dumps({"boxes": [missing_box]}))],
    }
    verdicts = dict.fromkeys(range(1, 9), 0.9)
    every = "hypotheses,working-mask"
    episode = answer_query(kitchen, kitchen_sam3, every, answers=answers, verdicts=verdicts, name=model_name)
    boxes = [json.loads(step.decision.arguments)["box"] for step in episode.steps if step.decision.tool == "refine"]
    assert boxes[0] == pytest.approx([30, 20, 40, 30], abs=0.1)
    assert boxes[1] == pytest.approx([80, 5, 90, 15], abs=0.1)


@pytest.fixture
def server():
    server = ChatServer()
    yield server
    server.close()


@pytest.mark.parametrize("wire", ["native", "schema", "tagged"])
def test_small_questions_reach_a_server_on_every_wire(wire, server, kitchen, kitchen_sam3):
    verdicts = [{"number": id, "reason": "seen", "accept": id == 2, "probability": 0.9 * (id == 2)} for id in (1, 2, 3)]
    arguments = {"propose": {"phrases": ["red cup"]}, "verdicts": {"verdicts": verdicts}}

    def answer(request):
        tool = "propose" if "You plan a search" in json.dumps(request["messages"]) else "verdicts"
        if wire == "native":
            assert [offered["function"]["name"] for offered in request["tools"]] == [tool]
            return completion(calls=[(tool, json.dumps(arguments[tool]))])
        if wire == "schema":
            return completion(json.dumps({"thought": "so", "tool": tool, "arguments": arguments[tool]}))
        called = json.dumps({"name": tool, "arguments": arguments[tool]})
        return completion(f"<tool_call>{called}</tool_call>")

    server.script(answer)
    planner = load_planner("openai:m", base_url=server.url, wire=wire, strategy="hypotheses")
    episode = run(Task(kitchen, "a vessel"), planner, kitchen_sam3)
    assert (episode.outcome, episode.current_ids) == ("answered", (2,))


# --- what stays as it was ---------------------------------------------------------------------------------------------


def test_decisions_follow_from_the_episode_alone(kitchen, kitchen_sam3):
    every = "hypotheses,second-looks,working-mask,stop-rule"
    answers = {"propose": [propose("red cup", "cup", box=BOX_OF_SECOND)], "check": [Call("check", "{}")]}
    model = ScriptedModel([], verdicts={1: 0.7, 2: 0.5}, answers=answers)
    first = run(Task(kitchen, "a vessel"), StrategyPlanner(model, strategies=Strategies.parse(every)), kitchen_sam3)
    other = StrategyPlanner(model, strategies=Strategies.parse(every))
    for count, step in enumerate(first.steps):
        again = other.decide(Episode(first.task, first.steps[:count]))
        assert (again.tool, again.arguments) == (step.decision.tool, step.decision.arguments)


def go_on(kitchen, sam3: Sam3, reply, *, verdicts=CERTAIN, query="only the left one", strategies="hypotheses"):
    """A second turn, after one that found the red cups, with this reply to what it means."""
    first = answer_query(kitchen, sam3, "short-questions", answers={"propose": [propose("red cup", several=True)]})
    talk = Conversation.start(kitchen).append(first)
    model = ScriptedModel([], verdicts=verdicts, answers={"propose_next": [reply]})
    planner = StrategyPlanner(model, strategies=Strategies.parse(strategies))
    return planner, run(talk.build_task(query), planner, sam3)


def propose_next(**what) -> Call:
    return Call("propose_next", json.dumps(what))


def test_a_follow_up_chooses_among_known_masks_without_a_search(kitchen, kitchen_sam3):
    planner, episode = go_on(kitchen, kitchen_sam3, propose_next(reading="the left red cup", ids=[1, 2]))
    assert list_tools(episode) == ["combine", "examine", "answer"]
    assert (episode.current_ids, episode.usage.model_calls, len(episode.searches)) == ((1,), 2, 0)
    assert {verdict.id for verdict in episode.steps[1].observation.verdicts} == {1, 2}
    made_by = with_model_info(Provenance(planner="x", sam3="tiny"), planner)
    trace = reconstruct_prompts(episode, made_by)
    said = " ".join(str(message) for step in trace.steps for message in (*step.messages, *sum(step.exams, ())))
    assert "The query goes on with a conversation" in said
    assert "a thing to drink from" in said
    assert "only the left one (that is, after what was said before: the left red cup)" in said


def test_a_follow_up_searches_only_for_what_is_new_and_keeps_the_numbers(kitchen, kitchen_sam3):
    reply = propose_next(reading="red cups and saucers", ids=[1], phrases=["red cup", "saucer"], several=True)
    _, episode = go_on(kitchen, kitchen_sam3, reply, verdicts={1: 0.9, 2: 0.1, 3: 0.1, 4: 0.9}, query="saucers too")
    assert [search.phrase for search in episode.searches] == ["saucer"]
    assert episode.current_ids == (1, 4)


@pytest.mark.parametrize(
    "reply", [Reply("Fine."), propose_next(ids=[77]), propose_next(), Call("propose_next", '{"ids": "x"}')]
)
def test_a_follow_up_that_nothing_can_be_made_of_judges_the_answer_so_far(reply, kitchen, kitchen_sam3):
    _, episode = go_on(kitchen, kitchen_sam3, reply)
    assert (episode.outcome, episode.current_ids) == ("answered", (1,))


def test_a_box_of_an_earlier_turn_speaks_for_no_mask_of_the_next(kitchen, kitchen_sam3):
    answers = {"propose": [propose("red cup", box=BOX_OF_SECOND)]}
    first = answer_query(kitchen, kitchen_sam3, "hypotheses", answers=answers)
    task = Conversation.start(kitchen).append(first).build_task("the other one")
    reply = propose_next(reading="x", ids=[1, 2])
    model = ScriptedModel([], answers={"propose_next": [reply]}, verdicts={1: 0.6, 2: 0.6})
    planner = StrategyPlanner(model, strategies=Strategies(hypotheses=True))
    judged = run(task, planner, kitchen_sam3).steps[1].observation.verdicts
    assert {verdict.probability for verdict in judged} == {0.6}


def test_the_router_leaves_a_follow_up_to_the_model(kitchen, kitchen_sam3):
    reply = propose_next(reading="the largest red cup", ids=[1, 2, 3])
    _, episode = go_on(kitchen, kitchen_sam3, reply, query="the largest red cup", strategies="router")
    assert episode.usage.model_calls == 2


def test_files_name_the_strategies_where_there_are_some_and_nothing_new_elsewhere():
    model = ScriptedModel([])
    plain = with_model_info(Provenance(planner="x", sam3="tiny"), ChatPlanner(model))
    assert "strategy" not in plain.model_dump()
    assert not [name for name in plain.prompts if name.startswith("strategies")]
    asked = with_model_info(
        Provenance(planner="x", sam3="tiny"), StrategyPlanner(model, strategies=Strategies(router=True))
    )
    assert Provenance.model_validate_json(asked.model_dump_json()).strategy == "router"
    assert "strategies_propose" in asked.prompts


def test_a_recording_of_strategies_is_replayed_without_the_model(kitchen, kitchen_sam3, tmp_path):
    answers = {"propose": [propose("red cup", "cup", box=BOX_OF_SECOND)], "check": [Call("check", "{}")]}
    model = ScriptedModel([], verdicts=CERTAIN, answers=answers)
    planner = build_chat_planner(model, StrategyPlanner(model).toolset, {}, strategy="hypotheses,working-mask")
    made_by = with_model_info(Provenance(planner="openai:x", sam3="tiny"), planner)
    first = run(Task(kitchen, "a vessel"), wrap_recording(planner, made_by, tmp_path / "calls"), kitchen_sam3)
    again = run(Task(kitchen, "a vessel"), load_replay(str(tmp_path / "calls")), kitchen_sam3)
    assert [step.decision.arguments for step in again.steps] == [step.decision.arguments for step in first.steps]
    assert again.current_ids == first.current_ids


def test_a_report_shows_the_questions_that_follow_from_the_episode(kitchen, kitchen_sam3):
    answers = {"propose": [propose("red cup")], "compare": [Call("compare", '{"better": 1, "probability": 1}')]}
    tied = {1: 0.9, 2: 0.88, 3: 0.01}
    episode = answer_query(kitchen, kitchen_sam3, "second-looks", answers=answers, verdicts=tied)
    made_by = Provenance(planner="x", sam3="tiny", model="scripted", strategy="second-looks")
    proposal, look, end = reconstruct_prompts(episode, made_by).steps
    assert "You plan a search" in proposal.messages[0].parts[0]
    assert len(look.exams) == 1
    assert "2 requests more" in look.exams_summary  # a second look and a comparison
    assert end.messages == ()


# --- options ----------------------------------------------------------------------------------------------------------


def test_a_strategy_that_there_is_not_is_one_line_with_all_that_there_are():
    with pytest.raises(PlannerError, match=r"no strategy 'vote'.*hypotheses, second-looks"):
        Strategies.parse("router,vote")
    with pytest.raises(PlannerError, match="no strategy ''"):
        Strategies.parse("")


@pytest.mark.parametrize("toolset", [PAPER, VIDEO])
def test_strategies_are_for_the_workspace_alone(toolset):
    with pytest.raises(PlannerError, match="is for images"):
        StrategyPlanner(ScriptedModel([]), toolset=toolset)


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        (["--planner", "grammar", "--strategy", "router"], "--strategy is of no use to --planner grammar"),
        (["--planner", "openai:m", "--strategy", "vote"], "there is no strategy 'vote'"),
        (["--planner", "openai:m", "--strategy", "router", "--toolset", "paper"], "got the toolset 'paper'"),
    ],
)
def test_the_command_line_refuses_what_cannot_be(options, wanted, tmp_path):
    done = CliRunner().invoke(
        app, ["segment", "examples/scene.png", "the cups", "--out", str(tmp_path / "o"), *options]
    )
    assert done.exit_code == 2
    assert wanted in " ".join(done.stderr.split())


def test_doubt_lies_at_the_border_or_between_rivals():
    assert find_uncertain({}, wants_one=True, margin=1.0) == []
    assert find_uncertain({1: 3.0, 2: 0.2, 3: -3.0}, wants_one=False, margin=1.0) == [2]
    assert find_uncertain({1: 3.0, 2: 0.2}, wants_one=True, margin=1.0) == []


def test_the_budget_is_kept(kitchen, kitchen_sam3):
    episode = answer_query(kitchen, kitchen_sam3, "second-looks", budget=replace(DEFAULT_BUDGET, max_model_calls=1))
    assert (episode.outcome, episode.usage.model_calls) == ("budget", 1)
