"""Every command and program of the README is run, and what it says about their output is so."""

import json
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from agent.cli.main import app
from agent.core.context import ConversationContext, PastTurn
from agent.planners.grammar.dialogue.interpret import interpret_follow_up
from agent.planners.grammar.dialogue.utterances import find_command
from agent.planners.grammar.interpretation import interpret_query
from agent.report.result import Result

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def section(title: str) -> str:
    return README[README.index(f"## {title}\n") :].split("\n## ")[0]


COMMANDS = [line for block in blocks("bash") for line in block.splitlines() if line.strip()]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder with the examples in it."""
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(command: str) -> str:
    """What a `uv run sam3-agent …` command prints, run in this process in the current folder."""
    words = shlex.split(command)
    done = CliRunner().invoke(app, words[words.index("sam3-agent") + 1 :])
    assert done.exit_code == 0, done.stderr
    return done.stdout


def recipe(target: str) -> str:
    """The shell commands behind a make target, which are not run."""
    quiet = {name: value for name, value in os.environ.items() if name not in {"MAKEFLAGS", "MAKELEVEL", "MFLAGS"}}
    command = ["make", "--dry-run", "--no-print-directory", "-C", str(ROOT), target]
    return subprocess.run(command, capture_output=True, text=True, check=True, env=quiet).stdout


def test_the_two_commands_come_first() -> None:
    assert COMMANDS[:2] == ["make try", "make test"]


@pytest.mark.parametrize("command", [command for command in COMMANDS if command.startswith("make ")])
def test_a_make_command_exists(command: str) -> None:
    assert "--locked" in recipe(command.removeprefix("make "))


def test_make_try_answers_the_query_of_the_picture_above_it(folder: Path) -> None:
    (command,) = [line for line in recipe("try").splitlines() if "sam3-agent" in line]
    query, answer = re.search(r"^> \*\*(.+)\*\* → (.+)$", README, re.MULTILINE).groups()
    assert shlex.split(command)[-1] == query
    printed = run(command)
    assert answer in printed
    assert "overlay.png" in printed
    assert (folder / "out" / "scene" / "overlay.png").read_bytes()


@pytest.mark.parametrize("block", [block for block in blocks("bash") if "make " not in block])
def test_the_commands_of_a_block_run_one_after_the_other(block: str, folder: Path) -> None:
    for command in block.splitlines():
        assert re.match(r"uv run (--extra train )?sam3-agent ", command)
        assert run(command)


@pytest.mark.parametrize("program", blocks("python"))
def test_a_program_prints_what_its_comments_say(program: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    exec(compile(program, "README.md", "exec"), {"__name__": "__main__"})
    promised = re.findall(r"^print\(.*\)  # (.+)$", program, re.MULTILINE)
    assert capsys.readouterr().out.splitlines() == promised


def test_the_pictures_of_the_page_are_there() -> None:
    pictures = re.findall(r"!\[.+?\]\((.+?)\)", README)
    assert pictures
    assert [name for name in pictures if not (ROOT / name).is_file()] == []


QUERIES, FOLLOW_UPS = (
    [query for row in part.splitlines() if row.startswith("|") for query in re.findall(r"`(.+?)`", row)]
    for part in section("What GrammarPlanner understands").split("\nIn a conversation ")
)


@pytest.mark.parametrize("query", QUERIES)
def test_the_planner_understands_every_query_of_its_table(query: str) -> None:
    assert interpret_query(query).complete


@pytest.mark.parametrize("query", FOLLOW_UPS)
def test_the_planner_understands_every_follow_up_of_its_table(query: str) -> None:
    cups = PastTurn("the cups", "answered", "9 masks: 'cup'.", tuple(range(1, 10)))
    assert interpret_follow_up(
        query, ConversationContext(selected=cups.selected, turns=(cups,))
    ).complete or find_command(query)


def test_the_usage_names_every_option() -> None:
    usage = section("The command line").split("```")[1].split("sam3-agent doctor")[0]
    offered = re.findall(r"^\W*(--[a-z0-9-]+) ", run("sam3-agent segment --help"), re.MULTILINE)
    assert sorted(re.findall(r"--[a-z0-9-]+", usage)) == sorted(set(offered) - {"--help"})


def test_result_json_has_the_fields_that_are_shown() -> None:
    (shown,) = map(json.loads, blocks("json"))
    assert keys(Result.model_validate(shown).model_dump()) == keys(shown)


def keys(value: Any) -> Any:
    match value:
        case dict():
            return {key: keys(inner) for key, inner in value.items()}
        case [dict(), *_]:
            return [keys(inner) for inner in value]
    return None
