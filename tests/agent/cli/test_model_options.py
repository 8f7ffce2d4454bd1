"""Options that say how a language model is asked: the command line, the environment, and what cannot be used."""

import json
from collections.abc import Iterator
from pathlib import Path
from shutil import copy

import pytest
from click.testing import Result
from typer.testing import CliRunner

from agent.cli.main import app
from agent.cli.options.model_options import MODEL_OPTIONS, get_variable_name, parse_model_options
from agent.core.errors import UsageError
from tests.support.chat_server import ChatServer, completion, refusal

pytestmark = pytest.mark.usefixtures("tiny")  # which every command then shares

EXAMPLE = Path(__file__).parents[3] / "examples" / "scene.png"
KEY = "sk-planted-4711-long"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy(EXAMPLE, tmp_path / "scene.png")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    for name in MODEL_OPTIONS:
        monkeypatch.delenv(get_variable_name(name), raising=False)


@pytest.fixture
def server() -> Iterator[ChatServer]:
    server = ChatServer().script(completion(f"None, says {KEY}.", [("report_no_mask", "{}")]))
    yield server
    server.close()


def segment(*words: object) -> Result:
    return CliRunner().invoke(app, ["segment", "scene.png", "the watermelons", *map(str, words)])


def ask_server(server: ChatServer, *words: object) -> Result:
    return segment("--planner", "openai:m", "--base-url", server.url, "--wire", "native", *words)


def test_every_option_reaches_the_request(server) -> None:
    words = ("--reply-tokens", 4096, "--temperature", 0.7, "--seed", 5, "--stream", "--extra-body", '{"top_k": 3}')
    assert ask_server(server, *words, "--patience", 60).exit_code == 0
    sent = server.requests[0]
    assert (sent["max_tokens"], sent["temperature"], sent["seed"], sent["stream"]) == (4096, 0.7, 5, True)
    assert sent["top_k"] == 3


def test_the_environment_is_asked_where_the_command_line_says_nothing(server, monkeypatch) -> None:
    monkeypatch.setenv("SAM3_AGENT_REPLY_TOKENS", "777")
    monkeypatch.setenv("SAM3_AGENT_TEMPERATURE", "default")
    monkeypatch.setenv("SAM3_AGENT_SEED", "1")
    assert ask_server(server, "--seed", 2).exit_code == 0
    sent = server.requests[0]
    assert (sent["max_tokens"], sent["seed"], "temperature" in sent) == (777, 2, False)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ((), (777, 0.5)),
        (("--as-published",), (4096, None)),
        (("--as-published", "--reply-tokens", 99), (99, None)),
        (("--as-published", "--reply-tokens", 99, "--temperature", 0), (99, 0)),
    ],
    ids=str,
)
def test_the_command_line_comes_before_the_published_choices_and_they_before_the_environment(
    server, monkeypatch, words, expected
) -> None:
    monkeypatch.setenv("SAM3_AGENT_REPLY_TOKENS", "777")
    monkeypatch.setenv("SAM3_AGENT_TEMPERATURE", "0.5")
    ask_server(server, *words)
    sent = server.requests[0]
    assert (sent["max_tokens"], sent.get("temperature")) == expected


def test_a_variable_does_not_keep_a_planner_from_working_that_takes_none(monkeypatch) -> None:
    monkeypatch.setenv("SAM3_AGENT_PATIENCE", "10")
    assert segment().exit_code == 0


def test_patience_ends_a_call(server) -> None:
    server.script(refusal(429, "later", retry_after="30"))
    done = ask_server(server, "--patience", 1)
    assert (done.exit_code, len(server.requests)) == (2, 1)
    assert "asks to wait 30 seconds" in done.stderr


def test_a_key_that_a_reply_repeats_is_in_no_file(server, tmp_path) -> None:
    assert ask_server(server).exit_code == 0
    assert KEY.encode() not in b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert "None, says [the key]." in Path("out/scene/episode.json").read_text("utf-8")


def test_a_model_that_sees_no_images_is_said_so_on_stderr_and_in_the_result(server) -> None:
    def answer(request):
        if "image_url" in str(request["messages"]):
            return refusal(400, "this model takes no images")
        name = "report_colours" if "Report both" in str(request["messages"]) else "report_no_mask"
        return completion(calls=[(name, '{"left": "red", "right": "blue"}' if name == "report_colours" else "{}")])

    server.script(answer)
    done = segment("--planner", "openai:m", "--base-url", server.url, "--json")
    assert done.exit_code == 0
    assert done.stderr.startswith("warning: openai:m sees no images here")
    assert json.loads(done.stdout)["warnings"] == [done.stderr.removeprefix("warning: ").strip()]


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("reply_tokens", "0", "must be at least 1"),
        ("reply_tokens", "many", "must be a whole number"),
        ("patience", "0", "must be seconds above 0"),
        ("patience", "inf", "must be seconds above 0"),
        ("patience", "soon", "must be a number"),
        ("temperature", "-1", "must be 0 or above"),
        ("temperature", "nan", "must be 0 or above"),
        ("temperature", "warm", "must be a number"),
        ("seed", "1.5", "must be a whole number"),
        ("stream", "maybe", "must be 1 or 0"),
        ("extra_body", "[1]", "must be one JSON object"),
        ("extra_body", "{", "must be one JSON object"),
        ("extra_body", '{"messages": []}', "must not hold 'messages'"),
    ],
)
def test_a_value_that_cannot_be_used_is_one_sentence(option, value, said, monkeypatch) -> None:
    monkeypatch.setenv(get_variable_name(option), value)
    with pytest.raises(UsageError, match=f"^{get_variable_name(option)} {said}"):
        parse_model_options({}, MODEL_OPTIONS.values())
    assert parse_model_options({}, ()) == {}


@pytest.mark.parametrize("words", [("--patience", "5"), ("--extra-body", "{}"), ("--no-stream",), ("--seed", "1")])
def test_an_option_for_a_language_model_is_refused_with_another_planner(words) -> None:
    done = segment(*words)
    assert done.exit_code == 2
    assert f"{words[0].replace('--no-', '--')} is of no use to --planner grammar" in done.stderr
