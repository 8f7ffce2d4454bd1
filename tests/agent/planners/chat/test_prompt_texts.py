import json
import re
from importlib.resources import files

import pytest

import prompts
from agent.tools import PAPER, WORKSPACE, parse_toolset
from agent.tools.geometry.terms import RELATIONS

LETTERS_PER_TOKEN = 4
"""English prose has about 4.6 letters to a token in current vocabularies, and these texts no fewer than 3.8."""
NAMES = sorted(file.name.removesuffix(".md") for file in files("prompts").iterdir() if file.name.endswith(".md"))


@pytest.mark.parametrize("protocol", ["workspace", "paper"])
def test_a_planners_system_prompt_has_at_most_2500_tokens(protocol):
    assert len(prompts.load_prompt(protocol)) / LETTERS_PER_TOKEN <= 2500


@pytest.mark.parametrize("protocol", ["workspace", "paper"])
def test_a_prompt_names_every_tool_of_its_protocol_and_no_other(protocol):
    named = set(re.findall(r"`([a-z_]+)`", prompts.load_prompt(protocol)))
    every = {tool.name for toolset in (WORKSPACE, PAPER) for tool in toolset.tools}
    assert named & every == {tool.name for tool in parse_toolset(protocol).tools}


def test_fields_that_the_workspace_prompt_names_are_fields_of_its_tools():
    tools = WORKSPACE.tools
    fields = {field for tool in tools for field in tool.model_fields} | {"minus", "merge"}
    named = {word.split(":")[0] for word in re.findall(r"`([a-z_]+(?:: true)?)`", prompts.load_prompt("workspace"))}
    assert named - {tool.name for tool in tools} <= fields


def test_every_call_in_the_examples_is_valid():
    tools = {tool.name: tool for tool in WORKSPACE.tools}
    calls = re.findall(r"^\d\. (\w+) (\{.*\})", prompts.load_prompt("workspace"), re.MULTILINE)
    assert len(calls) == 7
    for name, arguments in calls:
        tools[name].model_validate(json.loads(re.match(r"\{(?:[^{}]|\{[^{}]*\})*\}", arguments)[0]))


def test_relations_that_the_prompt_names_exist():
    assert {"left_of", "on", "inside", "next_to", "between", "overlapping"} <= set(RELATIONS)


@pytest.mark.parametrize("name", NAMES)
def test_a_prompt_is_plain_text_that_can_be_loaded(name):
    text = prompts.load_prompt(name)
    assert text == text.strip() != ""
    assert "\t" not in text


def test_a_filled_text_takes_values_as_they_are():
    filled = prompts.fill_prompt("workspace_drawn", numbers="1 to {query}", query=r"\1 {numbers} {")
    assert filled == r"Drawn in the picture, with their numbers: 1 to {query}. The query is: \1 {numbers} {"
    with pytest.raises(KeyError, match="numbers"):
        prompts.fill_prompt("workspace_drawn", query="x")


@pytest.mark.parametrize("protocol", ["workspace", "paper"])
def test_no_schema_has_references_which_some_servers_cannot_follow(protocol):
    assert "$ref" not in json.dumps([tool.to_planner_schema() for tool in parse_toolset(protocol).tools])
