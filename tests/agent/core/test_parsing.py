import json

import pytest

from agent import PAPER, WORKSPACE, Decision, ToolError
from agent.tools import parse_call
from agent.tools.paper import ReportNoMask as PaperReportNoMask
from agent.tools.paper import SegmentPhrase, SelectMasksAndReturn
from agent.tools.toolsets import Answer, AskUser, Combine, Examine, Rank, Relate, Segment

CALLS = [
    Segment(phrases=["red cup", "plate"], region=[0, 0, 50, 60], exemplars=[1], negatives=[2], threshold=0.3),
    Segment(phrases=["dog"]),
    Relate(ids=[1, 2], relation="between", to=[3], other=[4]),
    Rank(ids=[3, 1], by="x", order="ascending", start=2, take=2),
    Combine(op="minus", a=[1, 2], b=[]),
    Answer(ids=[2], message="The “second” cup.\u2028Yes.", reasons=[{"id": 2, "reason": "It is the second."}]),
    Examine(ids=[2, 3], closely=True),
    AskUser(question="Which?", options=["the left one", "the right one"]),
]


def parse(tool, arguments, tools=WORKSPACE.tools):
    return parse_call(Decision(tool, arguments), tools)


def error_of(tool, arguments, tools=WORKSPACE.tools) -> str:
    with pytest.raises(ToolError) as error:
        parse(tool, arguments, tools)
    return str(error.value)


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.name)
def test_a_call_survives_being_written_down(call):
    assert parse_call(call.to_decision("because"), WORKSPACE.tools) == call
    assert call.to_decision("because").thought == "because"


@pytest.mark.parametrize("name", ["segment", "Segment", " SEGMENT ", "segment_phrase", "Segment Phrases", "find"])
def test_a_tool_may_be_spelled_in_other_ways(name):
    assert parse(name, '{"phrases": ["dog"]}') == Segment(phrases=["dog"])


@pytest.mark.parametrize("name", ["select_masks", "SelectMasksAndReturn", "select-masks-and-return"])
def test_the_published_names_have_natural_aliases(name):
    assert parse(name, '{"masks": "1, 3"}', PAPER.tools) == SelectMasksAndReturn(final_answer_masks=[1, 3])


@pytest.mark.parametrize("tools", [WORKSPACE.tools, PAPER.tools])
def test_no_two_tools_of_a_protocol_share_a_name(tools):
    names = [name.replace("_", "") for tool in tools for name in (tool.name, *tool.aliases)]
    assert len(set(names)) == len(names)
    assert all(tool.field_aliases.keys().isdisjoint(tool.model_fields) for tool in tools)
    assert all(set(tool.field_aliases.values()) <= set(tool.model_fields) for tool in tools)


@pytest.mark.parametrize(
    "arguments",
    [
        '{"phrases": ["dog"]}',
        '{"phrases": "dog"}',
        '{"phrase": " dog "}',
        '{"Text Prompt": "dog"}',
        '{"phrases": "[\\"dog\\"]"}',
        '{"phrases": ["dog"], "region": null, "threshold": null}',
        '{"phrases": ["dog"], "threshold": "0.5"}',
        '{"arguments": {"phrases": ["dog"]}}',
        '{"name": "segment", "parameters": {"phrases": ["dog"]}}',
        '{"name": "segment", "arguments": "{\\"phrases\\": [\\"dog\\"]}"}',
        '{"parameters": {"arguments": {"phrases": ["dog"]}}}',
        '"{\\"phrases\\": [\\"dog\\"]}"',
        '```json\n{"phrases": ["dog"]}\n```',
        '```{"phrases": ["dog"]}',
        '{"phrases": ["dog",],}',
        ' {"phrases": ["dog"] , } ',
    ],
)
def test_arguments_may_be_wrapped_or_written_loosely(arguments):
    assert parse("segment", arguments) == Segment(phrases=["dog"])


@pytest.mark.parametrize("ids", ["2", '"2"', "[2]", '["2"]', "[2.0]", '"[2]"', '"#2"', " 2 "])
def test_one_number_may_stand_for_a_list_of_one(ids):
    assert parse("answer", f'{{"ids": {ids}}}') == Answer(ids=[2])


def test_numbers_may_be_listed_in_words():
    assert parse("answer", '{"ids": "1, 2 and 5"}') == Answer(ids=[1, 2, 5])


@pytest.mark.parametrize("relation", ["left_of", "Left of", "left-of", " LEFT  OF "])
def test_a_word_out_of_a_list_may_be_spelled_in_other_ways(relation):
    call = parse("relate", json.dumps({"ids": [1], "relation": relation, "to": [2]}))
    assert call == Relate(ids=[1], relation="left_of", to=[2])


@pytest.mark.parametrize("arguments", ["", "{}", "null", " ", '""', '{"arguments": {}}', '{"parameters": null}'])
def test_a_tool_without_arguments_may_be_called_with_nothing(arguments):
    assert parse("report_no_mask", arguments, PAPER.tools) == PaperReportNoMask()


def test_a_whole_call_may_stand_in_the_arguments_of_nothing():
    assert parse("", '{"name": "answer", "arguments": {"ids": [4]}}') == Answer(ids=[4])


@pytest.mark.parametrize("phrase", ["a, ] b", "a,}", "```json", 'say \\"x\\", ]', "{", "a\\u2028b", "größe"])
def test_repair_never_changes_what_is_inside_a_phrase(phrase):
    intended = json.loads(f'"{phrase}"').strip()
    assert parse("segment_phrase", f'{{"text_prompt": "{phrase}",}}', PAPER.tools) == SegmentPhrase(
        text_prompt=intended
    )


def reasons_of(written, ids="[3, 4]"):
    return {one.id: one.reason for one in parse("answer", f'{{"ids": {ids}, "reasons": {written}}}').reasons}


@pytest.mark.parametrize(
    "written",
    [
        '{"3": "red", "4": "dark"}',
        '{"#3": "red", "mask 4": "dark", "5": null, "6": ""}',
        '[{"id": 3, "reason": "red"}, {"id": 4, "reason": "dark"}]',
        '[{"mask": "3", "why": "red", "sure": true}, {"mask_id": 4.0, "explanation": "dark"}]',
        '["red", "dark"]',
        '"[\\"red\\", \\"dark\\"]"',
    ],
)
def test_reasons_may_be_written_in_many_forms(written):
    assert reasons_of(written) == {3: "red", 4: "dark"}


@pytest.mark.parametrize("written", ['"both are red"', '["both are red"]'])
def test_one_reason_stands_for_all(written):
    assert reasons_of(written) == {3: "both are red", 4: "both are red"}


@pytest.mark.parametrize("written", ['{"id": 4, "reason": "dark"}', '{"4": "dark"}'])
def test_not_every_mask_needs_a_reason(written):
    assert reasons_of(written) == {4: "dark"}


@pytest.mark.parametrize("written", ["[]", "{}", "null", '""'])
def test_no_reasons_are_no_mistake(written):
    assert reasons_of(written) == {}


def test_text_for_people_may_hold_what_no_file_can():
    call = parse("answer", '{"ids": [1], "message": "a \\ud83d cup", "reasons": {"1": "\\udc00"}}')
    assert (call.message, call.reasons[0].reason) == ("a ? cup", "?")
    assert call.to_decision().arguments.encode()


MISTAKES = [
    ("", "", "No tool was called; call exactly one of segment, refine, relate, locate, rank, combine, count, examine,"),
    ("look.around", "{}", "There is no tool 'look.around'; call exactly one of segment,"),
    ("answer\n", '{"ids": []}', "`ids` is [], but it should have at least 1 item"),
    ("answer", "{}", "`ids` is missing, which is numbers of all masks of the answer"),
    ("answer", '{"ids": null}', "`ids` is missing"),
    ("answer", '{"ids": true}', "`ids` is True, but it should be a valid list"),
    ("answer", '{"ids": [true]}', "`ids` at place 1 is True, but it should be a number"),
    ("answer", '{"ids": [1, 2.5]}', "`ids` at place 2 is 2.5, but it should be a valid integer"),
    ("answer", '{"ids": ["the. dog\\n"]}', "`ids` at place 1 is 'the. dog\\n', but it should be a valid integer"),
    ("answer", '{"ids": "all"}', "`ids` is 'all', but it should be a list of mask numbers, such as [1, 2]"),
    ("answer", '{"ids": "1 or 3"}', "`ids` is '1 or 3', but it should be a list of mask numbers"),
    ("answer", '{"ids": [1], "masks": [2]}', "gives `ids` more than once"),
    ("answer", '{"ids": [1], "why": "x"}', "'why' is not one of its fields, which are `ids`, `message`"),
    ("answer", "[1, 2]", "The arguments of `answer` are [1, 2], but should be one JSON object with `ids`, `message`"),
    ("answer", "3", "The arguments of `answer` are 3, but should be one JSON object"),
    ("answer", "ids: 3", "The arguments are not JSON (Expecting value at character 1): 'ids: 3'"),
    ("answer", '{"ids": [1}', "are not JSON"),
    ("answer", '{"ids": [' + "9" * 5000 + "]}", "are not JSON"),
    ("answer", "[" * 100_000, "are not JSON"),
    ("answer", '{"ids": ' + "[" * 900 + "]" * 900 + "}", "`ids` at place 1 is [[[[[[[...]]]]]]], but it should be"),
    ("answer", '{"ids": [1e999]}', "but it should be a finite number"),
    ("answer", json.dumps({"ids": ["x"] * 40}), "and 37 more like this"),
    ("answer", '{"ids": [1], "message": 4}', "`message` is 4, but it should be a valid string"),
    ("answer", '{"ids": [1, 2, 3], "reasons": ["a", "b"]}', "but it should be 3 reasons, one for each of `ids`"),
    ("answer", '{"ids": [1], "reasons": 5}', "`reasons` is 5, but it should be a valid list"),
    ("answer", '{"ids": [1], "reasons": [{"id": 1}]}', "`reasons` at place 1 has no `reason`;"),
    ("answer", '{"ids": [1], "reasons": [7]}', "`reasons` at place 1 is 7, but it should be"),
    ("answer", '{"ids": [1' + "0" * 400 + "]}", "but it should be a small number"),
    ("ask_user", '{"question": "Which?", "options": ["a"]}', "should have at least 2 items"),
    ("ask_user", '{"question": " ", "options": ["a", "b"]}', "should have at least 1 character"),
    ("examine", '{"ids": []}', "`ids` is [], but it should have at least 1 item"),
    ("segment", '{"phrases": [" "]}', "`phrases` at place 1 is ' ', but it should have at least 1 character"),
    ("segment", '{"phrases": ["\\ud800"]}', "`phrases` at place 1 is '\\ud800', but it should be a valid string"),
    ("segment", json.dumps({"phrases": ["x"] * 9}), "should have at most 8 items"),
    ("segment", '{"phrases": ["x"], "threshold": 1}', "`threshold` is 1, but it should be less than 1"),
    ("segment", '{"phrases": ["x"], "threshold": NaN}', "`threshold` is nan, but it should be a finite number"),
    ("segment", '{"phrases": ["x"], "region": [1, 2, 3]}', "should have at least 4 items"),
    ("relate", '{"ids": [1], "relation": "near", "to": [2]}', "`relation` is 'near', but it should be 'left_of',"),
    ("rank", '{"ids": 1, "by": "hue", "order": "up", "take": 0}', "`by` is 'hue', but it should be 'size', 'x'"),
]


@pytest.mark.parametrize(("tool", "arguments", "said"), MISTAKES)
def test_any_other_mistake_is_one_sentence_that_says_what_was_found_and_what_to_do(
    tool, arguments, said, is_one_sentence
):
    text = error_of(tool, arguments)
    assert said in text
    assert is_one_sentence(text)
    assert len(text) < 700
    assert "; call" in text or "; correct this and call it again" in text


@pytest.mark.parametrize(
    "tool", [*WORKSPACE.tools, *PAPER.tools], ids=lambda tool: f"{tool.__module__}.{tool.__name__}"
)
def test_the_schema_of_a_tool_describes_every_field_and_forbids_others(tool):
    schema = tool.to_planner_schema()["function"]
    assert schema["name"] == tool.name
    assert schema["description"] == " ".join((tool.__doc__ or "").split())
    assert schema["parameters"]["additionalProperties"] is False
    properties = schema["parameters"]["properties"]
    assert list(properties) == list(tool.model_fields)
    assert all(field["description"] for field in properties.values())
    assert '"title"' not in json.dumps(schema)


@pytest.mark.parametrize(
    "arguments", [r'{"\ud83d": [1]}', r'{"ids": [1], "half a \ud83d": 1}', '{"ids": [1], "\ud83d": 1}']
)
def test_half_a_character_in_the_name_of_a_field_is_a_mistake_like_any_other(arguments, is_one_sentence):
    complaint = error_of("count", arguments)
    assert "?' is not one of its fields, which are `ids`" in complaint
    assert is_one_sentence(complaint)


@pytest.mark.parametrize(
    "arguments",
    [
        '{"ids": "' + '\\"' * 500_000,
        '{"ids": [1]' + " " * 500_000 + "x",
        '{"ids": "' + " " * 500_000 + 'x"}',
        '{"ids": "1' + " " * 500_000 + 'x"}',
    ],
    ids=["quotes", "spaces", "spaces before", "spaces after"],
)
def test_hostile_arguments_are_refused_in_a_moment(arguments, is_one_sentence):
    """A time that grew with the square of these lengths would be minutes."""
    assert is_one_sentence(error_of("count", arguments))
