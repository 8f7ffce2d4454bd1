import json
import re
from hashlib import sha256
from importlib.resources import files
from pathlib import Path

import pytest
from jinja2 import UndefinedError

import prompts
from agent.tools import PAPER, WORKSPACE, parse_toolset
from agent.tools.geometry.terms import RELATIONS

LETTERS_PER_TOKEN = 4
"""English prose has about 4.6 letters to a token in current vocabularies, and these texts no fewer than 3.8."""
FOLDER = Path(str(files("prompts")))
NAMES = sorted(file.relative_to(FOLDER).with_suffix("").as_posix() for file in FOLDER.rglob("*.md"))


@pytest.mark.parametrize("protocol", ["workspace", "paper"])
def test_a_planners_system_prompt_has_at_most_2500_tokens(protocol):
    assert len(prompts.load_prompt(f"{protocol}/system")) / LETTERS_PER_TOKEN <= 2500


@pytest.mark.parametrize("protocol", ["workspace", "paper"])
def test_a_prompt_names_every_tool_of_its_protocol_and_no_other(protocol):
    named = set(re.findall(r"`([a-z_]+)`", prompts.load_prompt(f"{protocol}/system")))
    every = {tool.name for toolset in (WORKSPACE, PAPER) for tool in toolset.tools}
    assert named & every == {tool.name for tool in parse_toolset(protocol).tools}


def test_fields_that_the_workspace_prompt_names_are_fields_of_its_tools():
    tools = WORKSPACE.tools
    fields = {field for tool in tools for field in tool.model_fields} | {"minus", "merge"}
    named = {
        word.split(":")[0] for word in re.findall(r"`([a-z_]+(?:: true)?)`", prompts.load_prompt("workspace/system"))
    }
    assert named - {tool.name for tool in tools} <= fields


def test_every_call_in_the_examples_is_valid():
    tools = {tool.name: tool for tool in WORKSPACE.tools}
    calls = re.findall(r"^\d\. (\w+) (\{.*\})", prompts.load_prompt("workspace/system"), re.MULTILINE)
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
    filled = prompts.fill_prompt("workspace/drawn", numbers="1 to {query}", query=r"\1 {numbers} {")
    assert filled == r"Drawn in the picture, with their numbers: 1 to {query}. The query is: \1 {numbers} {"
    with pytest.raises(UndefinedError, match="numbers"):
        prompts.fill_prompt("workspace/drawn", query="x")


HOSTILE = [
    "{{ numbers }}",
    "{% for a in b %}",
    "{# gone #}",
    "{{ 7 * 7 }}",
    "<b>&amp;</b>",
    "\n\n{% raw %}\r\n",
    "\ud83d {",
]


@pytest.mark.parametrize("value", HOSTILE)
@pytest.mark.parametrize("name", NAMES)
def test_what_is_filled_in_is_never_read_as_a_template(name, value):
    blanks = re.findall(r"\{\{ (\w+) \}\}", prompts.load_prompt(name))
    filled = [prompts.fill_prompt(name, **dict.fromkeys(blanks, filling)) for filling in (value, "HARMLESS")]
    # in ASCII: half a surrogate pair in the message of a failure would end the whole run
    assert ascii(filled[0]) == ascii(filled[1].replace("HARMLESS", value))


def test_texts_are_hashed_under_the_names_that_saved_files_have():
    hashed = prompts.hash_prompts()
    assert {"workspace", "workspace_before_drawn", "paper", "examine_one", "wire_tagged", "probe"} <= set(hashed)
    assert hashed["examine_query"] == sha256(b"The query is: {query}").hexdigest()[:16], (
        "as before there were templates"
    )
    assert prompts.find_changed_prompts(hashed) == []
    assert prompts.find_changed_prompts({**hashed, "paper": "0", "gone": "1"}) == ["gone", "paper"]
    assert prompts.find_changed_prompts({}) == []


@pytest.mark.parametrize("protocol", ["workspace", "paper"])
def test_no_schema_has_references_which_some_servers_cannot_follow(protocol):
    assert "$ref" not in json.dumps([tool.to_planner_schema() for tool in parse_toolset(protocol).tools])
