"""A toolset is a value that the planner owns: what is in it is offered, called, saved and drawn."""

from dataclasses import replace
from typing import ClassVar

import pytest
from pydantic import Field

from agent import (
    PAPER,
    VIDEO,
    WORKSPACE,
    Budget,
    ChatPlanner,
    Episode,
    Examiner,
    GrammarPlanner,
    Observation,
    PlannerError,
    ReplayPlanner,
    ScriptedPlanner,
    Task,
    Tool,
    Toolset,
    parse_toolset,
    run,
)
from agent.models.base import Call, Messages, Schema
from agent.planners.chat.prompt import build_messages
from agent.planners.chat.scripted_model import ScriptedModel
from agent.planners.loading import load_planner, with_model_info
from agent.records.episode_file import load_episode, save_episode
from agent.records.provenance import Provenance
from agent.report.html import to_html
from agent.report.prompt_trace import reconstruct_prompts
from agent.tools.combine import Count
from agent.tools.toolsets import Answer, Segment, parse_saved_toolset
from sam3_tool import Image, Sam3


class ReadLabel(Tool):
    """Read what is written on these masks."""

    name: ClassVar[str] = "read_label"
    aliases: ClassVar = ("ocr",)
    guidance: ClassVar[str] = "What is written on a thing you read with this tool,\n    not by eye."

    ids: list[int] = Field(min_length=1, description="Numbers of the masks.")

    def run(self, episode: Episode, sam3: Sam3, planner: Examiner) -> Observation:
        return Observation(f"It says 'tea' on {self.ids}.", shown=tuple(self.ids))


WITH_TEXT = WORKSPACE.with_tools(ReadLabel)
REPLIES = [
    Call("segment", '{"phrases": ["red cup"]}'),
    Call("ocr", '{"ids": [2]}'),
    Call("answer", '{"ids": [2]}'),
]


class Listening(ScriptedModel):
    """Remembers what it was asked, and which tools it was offered."""

    def __init__(self, replies: list[Call]) -> None:
        super().__init__(replies)
        self.asked: list[tuple[Messages, list[Schema]]] = []

    def generate_replies(self, conversations, tools):
        self.asked += [(conversation, list(tools)) for conversation in conversations]
        return super().generate_replies(conversations, tools)


@pytest.fixture
def model() -> Listening:
    return Listening(REPLIES)


@pytest.fixture
def episode(model: Listening, kitchen: Image, kitchen_sam3: Sam3) -> Episode:
    return run(Task(kitchen, "the cup of tea"), ChatPlanner(model, toolset=WITH_TEXT), kitchen_sam3)


def test_a_tool_of_ones_own_is_offered_described_and_called(model: Listening, episode: Episode) -> None:
    conversation, tools = model.asked[0]
    assert ReadLabel.to_planner_schema() in tools
    [system] = conversation[0].content
    assert system.endswith("- `read_label`: What is written on a thing you read with this tool, not by eye.")
    assert (episode.outcome, episode.current_ids) == ("answered", (2,))
    assert episode.steps[1].observation.text == "It says 'tea' on [2]."


def _list_keywords(schema: Schema) -> set[str]:
    """The keywords of a JSON schema, at any depth; names of properties are none."""
    found = set(schema)
    for keyword, value in schema.items():
        inner = [*value.values()] if keyword == "properties" else value if isinstance(value, list) else [value]
        found |= {name for part in inner if isinstance(part, dict) for name in _list_keywords(part)}
    return found


@pytest.mark.parametrize("toolset", [WORKSPACE, PAPER, VIDEO], ids=lambda toolset: toolset.name)
def test_every_schema_is_plain_json_schema(toolset: Toolset) -> None:
    said = {
        keyword
        for tool in toolset.tools
        for keyword in _list_keywords(tool.to_planner_schema()["function"]["parameters"])
    }
    assert said <= {
        *("type", "properties", "required", "additionalProperties", "description", "default", "enum", "anyOf"),
        *("items", "minItems", "maxItems", "minLength", "maxLength", "minimum", "maximum", "exclusiveMaximum"),
    }


def test_its_call_is_drawn_in_the_trace_as_the_model_saw_it(model: Listening, episode: Episode, tmp_path) -> None:
    planner = ChatPlanner(model, toolset=WITH_TEXT)
    made_by = with_model_info(Provenance(planner="scripted", sam3="scripted"), planner)
    assert made_by.toolset == WITH_TEXT
    trace = reconstruct_prompts(episode, made_by)
    [first, *_] = [step.messages for step in trace.steps]
    assert first[0].parts == model.asked[0][0][0].content
    page = to_html(episode, made_by)
    assert "It says &#39;tea&#39; on [2]." in page
    assert "not by eye." in page


def test_a_composed_set_is_saved_under_its_name(episode: Episode, tmp_path) -> None:
    made_by = Provenance(planner="scripted", sam3="scripted", toolset=WITH_TEXT)
    assert made_by.model_dump(mode="json")["protocol"] == "workspace+read_label"
    save_episode(episode, tmp_path / "e.json", provenance=made_by)
    opened = load_episode(tmp_path / "e.json")
    assert opened.made_by.toolset == replace(WORKSPACE, name="workspace+read_label"), "it is not installed here"
    assert opened.episode.steps == episode.steps


def test_an_episode_with_a_tool_of_ones_own_is_replayed(episode: Episode, kitchen_sam3: Sam3) -> None:
    again = run(episode.task, ReplayPlanner(episode, toolset=WITH_TEXT), kitchen_sam3)
    assert [step.observation.text for step in again.steps] == [step.observation.text for step in episode.steps]
    assert (again.outcome, again.current_ids) == ("answered", (2,))


def test_the_grammar_makes_no_use_of_added_tools(kitchen: Image, kitchen_sam3: Sam3) -> None:
    task = Task(kitchen, "the left red cup")
    plain, more = (run(task, GrammarPlanner(toolset), kitchen_sam3) for toolset in (WORKSPACE, WITH_TEXT))
    assert [step.decision for step in more.steps] == [step.decision for step in plain.steps]


def test_the_grammar_says_which_tool_it_misses() -> None:
    with pytest.raises(ValueError, match="needs the tool 'segment', which toolset 'mine' has not"):
        GrammarPlanner(Toolset("mine", (ReadLabel,)))


def test_a_planner_is_only_run_with_its_own_tools(kitchen: Image, kitchen_sam3: Sam3) -> None:
    script = [Segment(phrases=["red cup"]), ReadLabel(ids=[2]), Answer(ids=[2])]
    plain = run(Task(kitchen, "q"), ScriptedPlanner(script), kitchen_sam3, budget=Budget(max_steps=2))
    assert plain.steps[1].observation.text.startswith("There is no tool 'read_label'; call exactly one of segment, ")
    assert run(Task(kitchen, "q"), ScriptedPlanner(script, toolset=WITH_TEXT), kitchen_sam3).current_ids == (2,)


def test_the_prompt_of_a_set_without_added_tools_is_the_committed_one(kitchen: Image) -> None:
    for toolset in (WORKSPACE, PAPER, WORKSPACE.with_tools(type("Silent", (ReadLabel,), {"guidance": ""}))):
        [system] = build_messages(Episode(Task(kitchen, "q")), toolset)[0].content
        assert "Further tools" not in system


def test_sets_by_name() -> None:
    assert parse_toolset("workspace") is not None
    assert parse_toolset("workspace") == WORKSPACE
    assert parse_toolset("paper") == PAPER
    assert parse_toolset("paper+count") == PAPER.with_tools(Count)
    assert PAPER.with_tools(Count).renumbers_masks


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        (
            "tcp",
            "there is no toolset 'tcp'; there are 'workspace', 'paper' and 'video', each also with",
        ),
        ("workspace+ocr", "the toolset 'workspace+ocr' cannot be had: there is no tool 'ocr'; there are answer, "),
        ("workspace+segment", "the toolset 'workspace+segment' has more than one tool 'segment'"),
        ("workspace+", "there is no tool ''"),
        ("", "there is no toolset ''"),
    ],
)
def test_an_unknown_set_is_one_sentence(name: str, complaint: str) -> None:
    with pytest.raises(PlannerError) as raised:
        parse_toolset(name)
    assert complaint in str(raised.value)
    assert len(str(raised.value).splitlines()) == 1
    with pytest.raises(PlannerError):
        load_planner("grammar", toolset=name)


def test_a_set_has_tools_of_different_names() -> None:
    with pytest.raises(ValueError, match="more than one tool 'read_label'"):
        WITH_TEXT.with_tools(ReadLabel)
    with pytest.raises(ValueError, match="has no tools"):
        Toolset("empty", ())


def test_a_saved_set_that_never_was_is_refused() -> None:
    with pytest.raises(ValueError, match="there is no toolset 'tcp'"):
        parse_saved_toolset("tcp")
