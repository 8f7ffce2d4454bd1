"""The agent skill: an assistant finds it, its recipes are calls that the server takes, and they find what they say."""

import json
import re

import yaml
from typer.testing import CliRunner

from agent.cli.main import app
from bench.suites.assistants.skill import QUESTIONS, fill_arguments, measure_skill, read_recipes
from serve.mcp.offers import OFFERS
from tests.support.program import ROOT

FOLDER = ROOT / "serve" / "skills" / "segment-images"
TEXT = (FOLDER / "SKILL.md").read_text(encoding="utf-8")
VALUES = {
    **{"IMAGE": "c31b02104686", "THING": "cup", "OTHER": "plate", "SENTENCE": "the largest cup"},
    **{"IDS": [1, 2], "OTHER_IDS": [3], "LAST": [1]},
}


def test_its_head_is_as_assistants_read_it():
    """As agentskills.io has it: a name like the folder's, and a description of at most 1,024 letters."""
    head = yaml.safe_load(TEXT.split("---")[1])
    assert head["name"] == FOLDER.name
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", head["name"])
    assert 0 < len(head["description"]) <= 1024
    assert "Use when" in head["description"]
    assert len(TEXT.splitlines()) < 500


def test_every_call_that_it_names_is_one_that_the_server_takes():
    calls = re.findall(r"`(\w+) (\{.*?\})`", TEXT.replace("\n", " "))
    assert {tool for tool, _ in calls} == {"segment", "count", "rank", "relate", "combine", "ask", "export"}
    for tool, arguments in calls:
        handle, _ = OFFERS[tool].read_call(fill_arguments(arguments, VALUES))
        assert handle == "c31b02104686"


def test_every_tool_that_it_names_exists():
    named = set(re.findall(r"`([a-z]+(?:_[a-z]+)?)`", TEXT)) - {"path", "image", "threshold", "region", "negatives"}
    assert named <= OFFERS.keys()


def test_its_recipes_find_what_they_promise():
    """On one scene here; `python -m bench.suites.assistants.skill` has many, and its result is committed."""
    assert [recipe.name for recipe in read_recipes(TEXT)] == [*QUESTIONS]
    rows = measure_skill(scenes=1).rows
    assert all(tasks == right for _, _, tasks, right, _ in rows)
    assert sum(int(tasks) for _, _, tasks, _, _ in rows) == 2 * len(QUESTIONS) - 2
    committed = json.loads((ROOT / "benchmarks" / "results" / "speed" / "mcp-skill.json").read_text(encoding="utf-8"))
    assert [row[0] for row in committed["rows"]] == [name for name in QUESTIONS for _ in range(2)]


def test_it_is_copied_to_where_an_assistant_looks_and_never_over_another(tmp_path):
    words = ["mcp", "--write-skill", str(tmp_path / ".claude" / "skills")]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0
    assert (tmp_path / ".claude" / "skills" / "segment-images" / "SKILL.md").read_text(encoding="utf-8") == TEXT
    again = CliRunner().invoke(app, words)
    assert (again.exit_code, again.stderr.count("\n")) == (2, 1)
    assert "File exists" in again.stderr
