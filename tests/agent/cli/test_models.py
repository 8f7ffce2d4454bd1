"""`sam3-agent segment` with language models: a real server, and recordings of it.

One test runs the program; the others run the same command in this process, where torch is loaded once.
"""

import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stderr, redirect_stdout, suppress
from io import StringIO
from pathlib import Path
from shutil import copy
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from agent import Budget, Task, run
from agent.cli.main import app
from agent.models.base import Call
from agent.planners.chat.planner import ChatPlanner
from agent.planners.chat.scripted_model import ScriptedModel
from agent.planners.loading import with_model_info, wrap_recording
from agent.records.provenance import Provenance
from agent.tools.toolsets import AskUser
from sam3_tool import Image, Sam3
from tests.support.chat_server import ChatServer, completion, refusal
from tests.support.program import run_program

pytestmark = pytest.mark.usefixtures("tiny")  # which every command then shares

EXAMPLE = Path(__file__).parents[3] / "examples" / "scene.png"
WITHOUT_NETWORKS = (
    "import sys; sys.modules |= dict.fromkeys(('torch', 'openai')); from agent.cli.main import main; main()"
)
KEY = "sk-planted-4711"
QUERY = "the watermelons"
CALLS = [("segment", '{"phrases": ["watermelon"]}'), ("answer", '{"ids": [1, 2], "message": "Two of them."}')]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with one picture in it; a key, and no server."""
    copy(EXAMPLE, tmp_path / "scene.png")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    return tmp_path


def segment(*words: object) -> Result:
    """In this process."""
    return CliRunner().invoke(app, ["segment", "scene.png", QUERY, *map(str, words)])


def replay(folder: str, *words: object) -> Result:
    return segment("--planner", f"replay:{folder}", *words)


def replay_without_networks(folder: str, *words: object) -> "subprocess.CompletedProcess[str]":
    """In a program that can load neither torch nor a client of servers."""
    asked = ["segment", "scene.png", QUERY, "--planner", f"replay:{folder}", *map(str, words)]
    program = [sys.executable, "-c", WITHOUT_NETWORKS, *asked]
    return subprocess.run(program, capture_output=True, text=True, check=False)


def result(folder: str) -> dict[str, Any]:
    return json.loads(Path(folder, "result.json").read_text("utf-8"))


def same(one: str, other: str) -> bool:
    """Whether two output folders hold the same answer, come to in the same way."""
    episodes = [json.loads(Path(folder, "episode.json").read_text("utf-8")) for folder in (one, other)]
    steps = [[{**step, "seconds": 0} for step in episode["steps"]] for episode in episodes]
    overlays = [Path(folder, "overlay.png").read_bytes() for folder in (one, other)]
    return steps[0] == steps[1] and overlays[0] == overlays[1] and result(one)["masks"] == result(other)["masks"]


@pytest.fixture
def server() -> Iterator[ChatServer]:
    server = ChatServer()
    yield server
    server.close()


def by_turn(request: dict[str, Any]) -> dict[str, Any]:
    """A server's answer: the call whose turn it is, by the assistant's turns in the request."""
    done = sum(message["role"] == "assistant" for message in request["messages"])
    usage = {"prompt_tokens": 1000, "completion_tokens": 50, "total_tokens": 1050}
    return completion("Let me see.", [CALLS[done]], usage=usage)


def test_a_model_behind_a_server_answers_and_its_recording_is_replayed_without_it(server) -> None:
    server.script(by_turn)
    words = ("segment", "scene.png", QUERY, "--planner", "openai:m", "--wire", "native", "--image-side", "320")
    asked = run_program(*words, "--base-url", server.url, "--record", "calls", "--out", "first")
    assert (asked.returncode, asked.stderr) == (0, "")
    assert asked.stdout.startswith("Two of them.")
    assert result("first")["usage"]["prompt_tokens"] == 2000
    requests = len(server.requests)
    again = replay_without_networks("calls", "--out", "second")
    assert (again.returncode, again.stderr, len(server.requests)) == (0, "", requests)
    assert same("first", "second")


def test_what_made_an_episode_is_saved_and_the_key_is_not(server, here) -> None:
    server.script(by_turn)
    address = server.url.replace("//", f"//me:{KEY}@")
    words = ("--planner", "openai:m", "--base-url", address, "--wire", "native", "--image-side", "320")
    done = segment(*words, "--price", "1,2,0.5", "--record", "calls")
    assert done.exit_code == 0, done.stderr
    made_by = json.loads(Path("out/scene/episode.json").read_text("utf-8"))["made_by"]
    assert (made_by["planner"], made_by["model"]) == ("openai:m", "openai:m")
    assert made_by["view"]["image_side"] == 320
    assert made_by["budget"]["price"] == {"prompt": 1, "completion": 2, "cached": 0.5}
    assert made_by["capabilities"].startswith("native tools")
    held = b"".join(path.read_bytes() for path in here.rglob("*") if path.is_file())
    assert KEY.encode() not in held + (done.stdout + done.stderr).encode()


@pytest.mark.parametrize(
    ("limit", "outcome"),
    [(["--max-tokens", "1000"], "token"), (["--max-cost", "0.001", "--price", "1,0"], "cost")],
)
def test_a_limit_on_tokens_or_cost_ends_the_episode_with_what_was_found(server, limit, outcome) -> None:
    server.script(by_turn)
    done = segment("--planner", "openai:m", "--base-url", server.url, "--wire", "native", *limit)
    assert done.exit_code == 1
    assert done.stdout.startswith("budget: ")
    assert outcome in done.stdout
    assert result("out/scene")["count"] > 1


PUBLISHED_CALLS = [
    ("segment_phrase", '{"text_prompt": "watermelon"}'),
    ("select_masks_and_return", '{"final_answer_masks": [1]}'),
]


def choose_published_call(request: dict[str, Any]) -> dict[str, Any]:
    done = sum(message["role"] == "assistant" for message in request["messages"])
    return completion("", [PUBLISHED_CALLS[done]])


@pytest.mark.parametrize(
    ("beside", "toolset", "steps"),
    [((), "paper", 100), (("--max-steps", "7"), "paper", 7), (("--toolset", "paper+count"), "paper+count", 100)],
)
def test_one_option_chooses_the_published_tools_and_limits(server, beside, toolset, steps) -> None:
    server.script(choose_published_call)
    done = segment("--planner", "openai:m", "--base-url", server.url, "--wire", "native", "--as-published", *beside)
    assert (done.exit_code, done.stderr) == (0, "")
    made_by = json.loads(Path("out/scene/episode.json").read_text("utf-8"))["made_by"]
    assert (made_by["protocol"], made_by["budget"]["max_steps"]) == (toolset, steps)
    asked = server.requests[-1]
    assert asked["max_tokens"] == 4096
    assert "temperature" not in asked


def test_without_it_the_limits_are_those_of_this_program(server) -> None:
    server.script(by_turn)
    segment("--planner", "openai:m", "--base-url", server.url, "--wire", "native", "--toolset", "workspace")
    made_by = json.loads(Path("out/scene/episode.json").read_text("utf-8"))["made_by"]
    assert (made_by["protocol"], made_by["budget"]["max_steps"]) == ("workspace", 12)
    assert (server.requests[-1]["max_tokens"], server.requests[-1]["temperature"]) == (2048, 0)


def test_a_planner_without_a_language_model_takes_the_published_tools_too() -> None:
    done = segment("--as-published")
    made_by = json.loads(Path("out/scene/episode.json").read_text("utf-8"))["made_by"]
    assert (done.stderr, made_by["protocol"], made_by["budget"]["max_steps"]) == ("", "paper", 100)


def test_a_server_that_fails_later_leaves_what_was_found(server) -> None:
    server.script(by_turn, refusal(403, "not for you"))
    done = segment("--planner", "openai:m", "--base-url", server.url, "--wire", "native")
    assert (done.exit_code, done.stderr) == (1, "")
    assert done.stdout.startswith("failed: ")
    assert "not for you" in done.stdout
    assert result("out/scene")["count"] > 1


def test_a_server_that_fails_at_once_is_one_line(server) -> None:
    server.script(refusal(401, f"wrong key {KEY}"))
    done = segment("--planner", "openai:m", "--base-url", server.url)
    assert (done.exit_code, done.stdout) == (2, "")
    [line] = done.stderr.splitlines()
    assert line.startswith(f"error: {server.url} refused the key")
    assert KEY not in line


def test_on_a_terminal_it_says_first_who_plans_and_how_tools_are_offered(server) -> None:
    server.script(by_turn)
    words = ["segment", "scene.png", QUERY, "--planner", "openai:m", "--base-url", server.url, "--wire", "native"]
    terminal, end = pty.openpty()
    with ThreadPoolExecutor() as pool:
        shown = pool.submit(read_to_end, terminal)
        with os.fdopen(end, "w") as stderr, redirect_stderr(stderr), redirect_stdout(StringIO()):
            assert app(words, standalone_mode=False) == 0
        said = shown.result()
    assert "openai:m, workspace toolset; native tools" in re.sub(r"\s+", " ", said)


def read_to_end(terminal: int) -> str:
    """All that is written to a terminal until its other end is closed."""
    shown = b""
    with suppress(OSError):  # raised when the other end is closed
        while part := os.read(terminal, 4096):
            shown += part
    os.close(terminal)
    return shown.decode()


def test_a_grammar_is_recorded_too() -> None:
    assert segment("--threshold", "0.3", "--record", "calls", "--out", "first").exit_code == 0
    again = replay("calls", "--out", "second")
    assert (again.exit_code, again.stderr) == (0, "")
    assert same("first", "second")


def recorded(folder: str, *calls: Call) -> None:
    """What `--record` would write of a model that makes these calls."""
    planner = ChatPlanner(ScriptedModel(calls))
    budget = Budget(max_steps=len(calls))
    made_by = with_model_info(Provenance(planner="openai:scripted", sam3="tiny", budget=budget), planner)
    sam3 = Sam3.load("tiny", record=folder)
    run(Task(Image.open("scene.png"), QUERY), wrap_recording(planner, made_by, folder), sam3, budget=budget)


def test_a_question_is_printed_with_its_options_and_is_no_failure() -> None:
    question = AskUser(question="Which ones?", options=["the striped ones", "all of them"]).to_decision()
    recorded("calls", Call(*CALLS[0]), Call(question.tool, question.arguments))
    done = replay("calls")
    assert (done.exit_code, done.stderr) == (0, "")
    told, first, second, files = done.stdout.splitlines()
    assert told.startswith("asked: Which ones?")
    assert (first, second) == ("  1. the striped ones", "  2. all of them")
    assert files.startswith("out/scene: ")
    assert result("out/scene")["options"] == ["the striped ones", "all of them"]


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--toolset", "paper"], "was recorded with toolset 'workspace', not 'paper'"),
        (["--image-side", "640"], "--image-side is of no use"),
        (["--sam3", "nowhere"], "nowhere"),
    ],
)
def test_a_recording_is_replayed_as_it_was_or_not_at_all(words, complaint) -> None:
    recorded("calls", *(Call(*call) for call in CALLS))
    done = replay("calls", *words)
    assert (done.exit_code, done.stdout) == (2, "")
    [line] = done.stderr.splitlines()
    assert complaint in line


def test_another_query_was_not_recorded() -> None:
    recorded("calls", *(Call(*call) for call in CALLS))
    done = CliRunner().invoke(app, ["segment", "scene.png", "the bananas", "--planner", "replay:calls"])
    assert (done.exit_code, done.stdout) == (2, "")
    assert "holds no recording of this call" in done.stderr
    assert not Path("out").exists()
