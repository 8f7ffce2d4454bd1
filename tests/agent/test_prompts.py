import json
import re
from importlib.resources import files

import pytest

import prompts
from agent.tools import TOOLS_OF
from agent.tools.relations import RELATIONS

LETTERS_PER_TOKEN = 4
"""English prose has about 4.6 letters to a token in current vocabularies, and these texts no fewer than 3.8."""
NAMES = sorted(file.name.removesuffix(".md") for file in files("prompts").iterdir() if file.name.endswith(".md"))


@pytest.mark.parametrize("protocol", ["workspace", "paper"])
def test_a_planners_system_prompt_has_at_most_2500_tokens(protocol):
    assert len(prompts.load(protocol)) / LETTERS_PER_TOKEN <= 2500


@pytest.mark.parametrize("protocol", ["workspace", "paper"])
def test_a_prompt_names_every_tool_of_its_protocol_and_no_other(protocol):
    named = set(re.findall(r"`([a-z_]+)`", prompts.load(protocol)))
    every = {tool.name for tools in TOOLS_OF.values() for tool in tools}
    assert named & every == {tool.name for tool in TOOLS_OF[protocol]}


def test_fields_that_the_workspace_prompt_names_are_fields_of_its_tools():
    tools = TOOLS_OF["workspace"]
    fields = {field for tool in tools for field in tool.model_fields} | {"minus", "merge"}
    named = {word.split(":")[0] for word in re.findall(r"`([a-z_]+(?:: true)?)`", prompts.load("workspace"))}
    assert named - {tool.name for tool in tools} <= fields


def test_every_call_in_the_examples_is_valid():
    tools = {tool.name: tool for tool in TOOLS_OF["workspace"]}
    calls = re.findall(r"^\d\. (\w+) (\{.*\})", prompts.load("workspace"), re.MULTILINE)
    assert len(calls) == 7
    for name, arguments in calls:
        tools[name].model_validate(json.loads(re.match(r"\{(?:[^{}]|\{[^{}]*\})*\}", arguments)[0]))


def test_relations_that_the_prompt_names_exist():
    assert {"left_of", "on", "inside", "next_to", "between", "overlapping"} <= set(RELATIONS)


@pytest.mark.parametrize("name", NAMES)
def test_a_prompt_is_plain_text_that_can_be_loaded(name):
    text = prompts.load(name)
    assert text == text.strip() != ""
    assert "\t" not in text


def test_a_filled_text_takes_values_as_they_are():
    filled = prompts.fill("workspace_drawn", numbers="1 to {query}", query=r"\1 {numbers} {")
    assert filled == r"Drawn in the picture, with their numbers: 1 to {query}. The query is: \1 {numbers} {"
    with pytest.raises(KeyError, match="numbers"):
        prompts.fill("workspace_drawn", query="x")


@pytest.mark.parametrize("protocol", ["workspace", "paper"])
def test_no_schema_has_references_which_some_servers_cannot_follow(protocol):
    assert "$ref" not in json.dumps([tool.schema_for_planner() for tool in TOOLS_OF[protocol]])
