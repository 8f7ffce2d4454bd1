"""Every option and argument of every command that takes a path takes it in the one way."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from agent.cli.main import app
from agent.cli.options import path_parameters
from sam3_tool.errors import PathError
from sam3_tool.system.paths import describe_missing_hub_home, expand_path, find_home, is_folder

pytestmark = pytest.mark.usefixtures("tiny")  # which every command then shares

TAKING_PATHS = {"segment", "chat", "eval run", "eval predict", "eval score", "eval compare", "eval view", "eval check"}
"""Commands that must be among those that take one, so that a walk over nothing is no proof."""


def walk_commands(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    context = typer.Context(command)
    if hasattr(command, "list_commands"):
        for name in command.list_commands(context):
            yield from walk_commands(command.get_command(context, name), (*path, name))
    else:
        yield " ".join(path), command


COMMANDS = dict(walk_commands(typer.main.get_command(app)))
PATH_PARAMETERS = [
    (name, parameter)
    for name, command in COMMANDS.items()
    for parameter in command.params
    if parameter.type_descriptor.is_path
]


def test_the_walk_finds_the_commands() -> None:
    assert {name for name, _ in PATH_PARAMETERS} >= TAKING_PATHS


@pytest.mark.parametrize(
    ("command", "parameter"), PATH_PARAMETERS, ids=[f"{name} {param.name}" for name, param in PATH_PARAMETERS]
)
def test_an_empty_path_and_the_home_of_nobody_are_one_line(command: str, parameter: Any) -> None:
    others = [other for other in COMMANDS[command].params if other.required and other is not parameter]
    is_option = parameter.param_type_name == "option"
    for value, why in {
        "": "the path is empty",
        " ": "the path is empty",
        "~no-such-user/x": "no user 'no-such-user'",
    }.items():
        words = [f"{parameter.opts[0]}={value}"] if is_option else []
        for each in COMMANDS[command].params:
            if each is parameter and not is_option:
                words.append(value)
            elif each in others:
                fitting = [*each.type_descriptor.choices, "x"][0] if each.type_descriptor.is_choice else "x"
                words += [fitting] if each.param_type_name == "argument" else [f"{each.opts[0]}={fitting}"]
        done = CliRunner().invoke(app, [*command.split(), *words])
        assert (done.exit_code, done.stdout) == (2, "")
        assert done.stderr.startswith("error: ")
        assert why in done.stderr
        assert done.stderr.count("\n") == 1


def test_no_command_takes_a_path_in_another_way() -> None:
    rooms = [Path(path_parameters.__file__).parents[2] / room for room in ("agent/cli", "evals", "demo", "bench")]
    texts = {path: path.read_text(encoding="utf-8") for room in rooms for path in room.rglob("*.py")}
    own = {"console.py", "path_parameters.py"}
    calls = ("Path | None, typer.", "[Path, typer.", "Path.home(", ".expanduser(")
    assert [
        path.name for path, text in texts.items() if path.name not in own and any(map(text.__contains__, calls))
    ] == []


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "the path is empty"),
        ("\t\n", "the path is empty"),
        ("a\0b", "NUL character"),
        ("https://example.org/a.png", "'https://example.org/a.png' is a URL"),
        ("file:///tmp/a.png", "is a URL"),
        ("s3://bucket/a.png", "is a URL"),
        ("~no-such-user", "no user 'no-such-user' is known, or write ./~no-such-user"),
        ("x" * 256, "longer than the name of a file can be"),
        ("é" * 128, "longer than the name of a file can be"),
        ("x/" * 2100, "longer than the name of a file can be"),
    ],
)
def test_what_is_no_path_says_why(text: str, why: str) -> None:
    with pytest.raises(PathError, match=why):
        expand_path(text)


@pytest.mark.parametrize("text", ["a~", "./~", "x" * 255, ".", "/", "a b", "-", "*"])
def test_any_other_path_stays_as_it_is(text: str) -> None:
    assert expand_path(text) == Path(text)


def test_home_comes_from_its_variable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert find_home() == expand_path("~") == tmp_path
    assert expand_path("~/a") == tmp_path / "a"
    monkeypatch.setenv("HOME", "not/absolute")
    assert find_home() is None
    for name in ("HF_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    assert "set HOME or HF_HOME" in describe_missing_hub_home()
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    assert describe_missing_hub_home() == ""


def test_a_name_that_is_too_long_is_no_folder() -> None:
    assert not is_folder(Path("x" * 300))


def test_an_empty_checkpoint_is_bad_input() -> None:
    done = CliRunner().invoke(app, ["segment", "a.png", "circle", "--sam3", ""])
    assert (done.exit_code, done.stderr[:22]) == (2, "error: --sam3 is empty")
