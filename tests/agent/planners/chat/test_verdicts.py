"""Verdicts in words: whoever rejects a mask has rejected it, and who says both is asked again."""
# ruff: noqa: RUF001 - punctuation of other languages is tried

import pytest

from agent import PAPER, WORKSPACE, ChatPlanner, Task, Toolset, run
from agent.core.usage import Usage
from agent.models.base import Call, Reply
from agent.models.reply_parsing import read_reply
from agent.planners.chat.scripted_model import VERDICT_TOOLS, ScriptedModel
from agent.planners.chat.spoken_verdicts import find_numbered_opinions, find_opinions
from agent.planners.chat.verdicts import OneVerdict, SheetVerdicts, parse_verdicts
from agent.tools.paper import ExamineEachMask, SegmentPhrase, SelectMasksAndReturn
from agent.tools.toolsets import Answer, Examine, Segment

REJECTIONS = [
    "<verdict>Reject</verdict>",
    "Reject",
    "reject.",
    "**Verdict: Reject**",
    '{"verdict": "Reject"}',
    "Verdict - reject",
    "VERDICT = REJECT",
    "My verdict is: reject",
    "Final answer: **Rejected**",
    "Verdict → Reject",
    "## Verdict\n\nReject\n\nThe mask is of a cat.",
    "| Verdict | Reject |",
    "`Reject`",
    '"Reject"',
    "„Reject“",
    "«Reject»",
    "「Reject」。",
    "Verdict：Reject！",
    "【Verdict】Reject",
    "Verdict، reject۔",
    "Ｒｅｊｅｃｔ",
    "❌ Reject",
    "> - Reject",
    "1. Reject",
    "```\nReject\n```",
    '```json\n{"decision": "rejected"}\n```',
    "\\boxed{\\text{Reject}}",
    "<verdict>\n  REJECT.\n</verdict>",
    "<verdict>reject",
    '<verdict value="reject"/>',
    "<reject/>",
    "<answer>Reject</answer>",
    "[verdict]Reject[/verdict]",
    "<tool_call>Reject</tool_call>",
    '<tool_call>{"verdict": "Reject"}</tool_call>',
    "<reason>a cat</reason><accept>false</accept><probability>0.1</probability>",
    "reason: it is a cat\naccept: false\nprobability: 0.1",
    "The mask covers the cat, not the dog.\n\nReject",
    "The mask covers the cat. Reject.",
    "One could accept it for the colour, yet it is the wrong dog.\nVerdict: Reject",
    "I could accept it, but the leash is missing. I reject this mask.",
    "Therefore, the mask should be rejected.",
    "Reject. It is the dog on the right.",
    "Reject: no dog is there",
    "Reject, but it is close.",
    "Reject because it is a cat, so it cannot be accepted.",
    "Not accepted.",
    "I do not accept this mask.",
    "Unacceptable",
    "No match.",
    "No.",
    "{'verdict': 'Reject', 'reason': 'a cat'}",
    "{verdict: Reject}",
    '{"Verdict": "Reject."}',
    '{"verdict": {"accept": false, "reason": "a cat"}}',
    '{"verdicts": [{"number": 1, "accept": false}]}',
    '{"reject": true}',
    '{"final_verdict": "REJECT", "mask": 1}',
    '{"match": false}',
    '{"verdict": "Reject", "accept": false}',
    '{"name": "reject", "arguments": {}}',
    '{"name": "verdict", "arguments": "Reject"}',
    "<function=verdict><parameter=verdict>Reject</parameter></function>",
    "<think>I would accept it.</think>Reject",
    Reply(calls=(Call("reject", '{"reason": "a cat"}'),)),
    Reply(calls=(Call("verdict", "Reject"),)),
    Reply(calls=(Call("verdict", '"Reject"'),)),
    Reply("Accept", calls=(Call("verdict", '{"accept": false}'),)),
    "verdict(accept=False)",
    "is_match: no",
    "Accepted? No",
    "reject, 0.95",
    "mask_1: reject",
    "Final: Reject",
    "[ ] Accept\n[x] Reject",
    "☐ Accept\n☑ Reject",
    "Accept/Reject: Reject",
    "Accept or Reject? Reject",
    "<|channel|>final<|message|>Reject",
    "Reject<|eot_id|>",
    "[/INST] Reject</s>",
    "❌",
    "拒绝",
    "Rechazado.",
    "Nicht akzeptiert",
]
ACCEPTANCES = [
    "Accept.",
    "<verdict>Accept</verdict>",
    "**Accepted**",
    "Yes",
    "Verdict: match",
    "✅ Accept",
    "I accept it.",
    "The mask covers the whole dog and nothing else.\n\nAccept",
    "Accept. No issues.",
    "accept: true\nprobability: 0.9",
    '{"answer": "Accept"}',
    '{"verdict": "Accept", "reason": "there is nothing to reject"}',
    "accept, 0.95",
    "- [x] Accept\n- [ ] Reject",
    "✅",
    "接受",
]
NEITHER = [
    "",
    "...",
    '{"accept": null}',
    "accept: 0.1",
    "accept = unknown",
    "(x) Accept (x) Reject",
    "It looks right to me.",
    "Accept or reject?",
    "Accept/Reject",
    "Should I accept or reject this?",
    "Accept\nReject",
    "Accept if it is red.",
    "Accept, but it might be the other dog.",
    "I could accept it, but others would reject it. <verdict>Accept</verdict>",
    "<verdict>Accept</verdict><verdict>Reject</verdict>",
    "Reject\n\nOn a closer look, I accept it.",
    "The mask should not be rejected.",
    "I reject the idea that this is a wolf",
    "Reject?",
    "The picture shows a rejected cup",
    "| Verdict | Accept | Reject |",
    "<think>Reject</think>",
    '{"verdict": "Reject", "accept": true}',
    '{"verdict": "Reject"} {"verdict": "Accept"}',
    Reply("Reject", calls=(Call("verdict", '{"accept": true}'),)),
]


def read(said: str | Reply, tool: type[OneVerdict] | type[SheetVerdicts] = OneVerdict) -> Reply:
    """A reply as a server's client hands it on."""
    return said if isinstance(said, Reply) else read_reply(said, tools=[tool.to_planner_schema()])


@pytest.mark.parametrize("said", REJECTIONS, ids=str)
def test_a_rejection_in_whatever_words_is_one(said):
    parsed = parse_verdicts(read(said), {1: 7}, OneVerdict)
    assert [(verdict.id, verdict.accept) for verdict in parsed.verdicts] == [(7, False)]
    assert not parsed.complaint


@pytest.mark.parametrize("said", ACCEPTANCES, ids=str)
def test_an_acceptance_that_speaks_of_nothing_else_is_one(said):
    parsed = parse_verdicts(read(said), {1: 7}, OneVerdict)
    assert [(verdict.id, verdict.accept) for verdict in parsed.verdicts] == [(7, True)]


@pytest.mark.parametrize("said", NEITHER, ids=str)
def test_what_says_both_or_neither_is_asked_for_again(said, is_one_sentence):
    parsed = parse_verdicts(read(said), {1: 7}, OneVerdict)
    assert parsed.verdicts == ()
    assert is_one_sentence(parsed.complaint)


@pytest.mark.parametrize(
    "said",
    ["It's a reject from me.", "I'm rejecting this.", "95% reject", "no, it's the wrong cup", "**No** - it is a bowl.",
     'verdict(reason="x", accept=false, probability=0.1)', "It does not match the words."],
)  # fmt: skip
def test_a_rejection_in_doubtful_words_is_asked_for_again_and_then_counts(said):
    assert parse_verdicts(read(said), {1: 7}, OneVerdict).verdicts == ()
    insisting = parse_verdicts(read(said), {1: 7}, OneVerdict, is_last=True)
    assert [verdict.accept for verdict in insisting.verdicts] == [False]


@pytest.mark.parametrize("said", ["I can accept this", "Others would reject it, but I accept it.", "No doubt a cup"])
def test_doubtful_words_that_do_not_reject_never_count(said):
    assert parse_verdicts(read(said), {1: 7}, OneVerdict, is_last=True).verdicts == ()


@pytest.mark.parametrize(
    ("said", "accepts"),
    [
        ("1: Accept\n2: Reject, a bowl\n3: Reject", {1: True, 2: False, 3: False}),
        ("1. accept\n2) reject", {1: True, 2: False}),
        ("Mask 1 - accept; mask 2 - reject", {1: True, 2: False}),
        ("**1** → ✅ Accept\n**2** → ❌ Reject", {1: True, 2: False}),
        ("| 1 | Accept |\n| 2 | Reject |", {1: True, 2: False}),
        ("Accept: 1, 3\nReject: 2", {1: True, 2: False, 3: True}),
        ("Masks 1 and 3: reject\n2: accept", {1: False, 2: True, 3: False}),
        ('<verdict number="2">Reject</verdict>', {2: False}),
        ("All rejected.", {1: False, 2: False, 3: False}),
        ('{"1": "Reject", "2": "Accept"}', {1: False, 2: True}),
        ('{"verdicts": {"2": {"accept": false}, "3": "accept"}}', {2: False, 3: True}),
        ('[{"number": 1, "verdict": "Accept"}, {"id": 2, "decision": "reject"}]', {1: True, 2: False}),
        ('{"verdicts": [{"mask": 3, "verdict": "Reject"}], "summary": "one"}', {3: False}),
        ("1: accept or reject\n2: reject", {2: False}),
        ("1. The dog\n2. The cat", {}),
        ("Mask 1 accept, mask 2 reject, mask 3 accept", {1: True, 2: False, 3: True}),
        ("(1) reject (2) accept (3) reject", {1: False, 2: True, 3: False}),
        ("Accept 1 and 3, reject 2.", {1: True, 2: False, 3: True}),
        ("Accepted: [1, 3]; rejected: [2]", {1: True, 2: False, 3: True}),
        ('{"accept": [1, 3], "reject": [2]}', {1: True, 2: False, 3: True}),
        ("1-3: reject", {1: False, 2: False, 3: False}),
        ("1 ✓, 2 ✗", {1: True, 2: False}),
        ("All accepted except 2", {}),
        ("Reject", {}),
    ],
    ids=str,
)
def test_verdicts_on_a_sheet_may_be_in_words_too(said, accepts):
    parsed = parse_verdicts(read(said, SheetVerdicts), {1: 10, 2: 20, 3: 30}, SheetVerdicts)
    assert {verdict.id: verdict.accept for verdict in parsed.verdicts} == {
        10 * number: accept for number, accept in accepts.items()
    }
    assert bool(parsed.complaint) == (len(accepts) < 3)


def test_a_rejection_in_words_is_not_overruled_by_a_call_on_a_sheet():
    all_accepted = '{"verdicts": [{"number": 1, "accept": true}, {"number": 2, "accept": true}]}'
    parsed = parse_verdicts(Reply("2: Reject", calls=(Call("verdicts", all_accepted),)), {1: 10, 2: 20}, SheetVerdicts)
    assert [(verdict.id, verdict.accept) for verdict in parsed.verdicts] == [(10, True)]
    assert parsed.complaint.startswith("2 is both accepted and rejected")


class Speaking(ScriptedModel):
    """Calls tools as scripted, and says its verdicts."""

    said = ""

    def generate_replies(self, conversations, tools):
        if {tool["function"]["name"] for tool in tools} <= VERDICT_TOOLS:
            return [Reply(self.said, usage=Usage(model_calls=1))] * len(conversations)
        return super().generate_replies(conversations, tools)


SCRIPTS = {
    "paper": (
        PAPER,
        [SegmentPhrase(text_prompt="red cup"), ExamineEachMask(), SelectMasksAndReturn(final_answer_masks=[1])],
    ),
    "workspace": (WORKSPACE, [Segment(phrases=["red cup"]), Examine(ids=[1, 2]), Answer(ids=[1])]),
}


@pytest.mark.parametrize("said", ["<verdict>Reject</verdict>", "It is a bowl.\n\n**Reject**"])
@pytest.mark.parametrize(("toolset", "script"), SCRIPTS.values(), ids=SCRIPTS)
def test_a_spoken_rejection_takes_the_mask_away_at_the_first_request(
    kitchen, kitchen_sam3, toolset: Toolset, script, said
):
    model = Speaking([Call(tool.name, tool.to_decision().arguments) for tool in script])
    model.said = said
    episode = run(Task(kitchen, "q"), ChatPlanner(model, toolset=toolset), kitchen_sam3)
    examined = episode.steps[1].observation
    assert {verdict.accept for verdict in examined.verdicts} == {False}
    assert examined.shown == ()
    assert examined.usage.model_calls == len(examined.verdicts)


@pytest.mark.parametrize(
    "hostile",
    ["accept " * 5000, "accept\n" * 5000, "verdict: " * 5000, "1 " * 20000, "1, " * 20000, "<" * 50000, "[a " * 20000,
     "not " * 10000, "it is " * 9000, "reject: 1 " * 5000, "x" * 10**6, "\ud800" * 1000,
     "(1) " * 20000, "1-99 " * 5000, "accept, 1, " * 5000, "[ ] accept " * 5000],
    ids=lambda text: text[:10].encode("ascii", "backslashreplace").decode(),
)  # fmt: skip
def test_a_hostile_text_is_read_in_a_moment(hostile):
    assert find_opinions(hostile) in ({True}, {False}, {True, False}, frozenset())
    assert len(find_numbered_opinions(hostile)) < 10
