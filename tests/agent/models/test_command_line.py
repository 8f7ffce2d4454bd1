"""`sam3-agent segment` with language models: the real program, a real server, and recordings of both."""

import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from shutil import copy
from typing import Any

import pytest

from agent import Budget, Task, run
from agent.models.base import Call
from agent.models.scripted import ScriptedModel
from agent.planners.chat.planner import ChatPlanner
from agent.planners.loading import with_model_info, wrap_recording
from agent.records.episode_file import Provenance
from agent.tools.toolsets import AskUser
from sam3_tool import Image, Sam3

EXAMPLE = Path(__file__).parents[3] / "examples" / "scene.png"
PROGRAM = Path(sys.executable).with_name("sam3-agent")
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


def segment(*words: object) -> "subprocess.CompletedProcess[str]":
    program = [PROGRAM, "segment", "scene.png", QUERY, *map(str, words)]
    return subprocess.run(program, capture_output=True, text=True, check=False)


def replay(folder: str, *words: object) -> "subprocess.CompletedProcess[str]":
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
def by_turn(told: Callable[..., dict[str, Any]]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """A server's answer: the call whose turn it is, by the assistant's turns in the request."""
    usage = {"prompt_tokens": 1000, "completion_tokens": 50, "total_tokens": 1050}

    def by_turn(request: dict[str, Any]) -> dict[str, Any]:
        done = sum(message["role"] == "assistant" for message in request["messages"])
        return told("Let me see.", [CALLS[done]], usage=usage)

    return by_turn


def test_a_model_behind_a_server_answers_and_its_recording_is_replayed_without_it(server, by_turn) -> None:
    server.script(by_turn)
    words = ("--planner", "openai:m", "--wire", "native", "--image-side", "320")
    asked = segment(*words, "--base-url", server.url, "--record", "calls", "--out", "first")
    assert (asked.returncode, asked.stderr) == (0, "")
    assert asked.stdout.startswith("Two of them.")
    assert result("first")["usage"]["prompt_tokens"] == 2000
    requests = len(server.requests)
    again = replay("calls", "--out", "second")
    assert (again.returncode, again.stderr, len(server.requests)) == (0, "", requests)
    assert same("first", "second")


def test_what_made_an_episode_is_saved_and_the_key_is_not(server, by_turn, here) -> None:
    server.script(by_turn)
    address = server.url.replace("//", f"//me:{KEY}@")
    words = ("--planner", "openai:m", "--base-url", address, "--wire", "native", "--image-side", "320")
    done = segment(*words, "--price", "1,2,0.5", "--record", "calls")
    assert done.returncode == 0, done.stderr
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
def test_a_limit_on_tokens_or_cost_ends_the_episode_with_what_was_found(server, by_turn, limit, outcome) -> None:
    server.script(by_turn)
    done = segment("--planner", "openai:m", "--base-url", server.url, "--wire", "native", *limit)
    assert done.returncode == 1
    assert done.stdout.startswith("budget: ")
    assert outcome in done.stdout
    assert result("out/scene")["count"] > 1


def test_a_server_that_fails_later_leaves_what_was_found(server, by_turn, refused) -> None:
    server.script(by_turn, refused(403, "not for you"))
    done = segment("--planner", "openai:m", "--base-url", server.url, "--wire", "native")
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.startswith("failed: ")
    assert "not for you" in done.stdout
    assert result("out/scene")["count"] > 1


def test_a_server_that_fails_at_once_is_one_line(server, refused) -> None:
    server.script(refused(401, f"wrong key {KEY}"))
    done = segment("--planner", "openai:m", "--base-url", server.url)
    assert (done.returncode, done.stdout) == (2, "")
    [line] = done.stderr.splitlines()
    assert line.startswith(f"error: {server.url} refused the key")
    assert KEY not in line


def test_on_a_terminal_it_says_first_who_plans_and_how_tools_are_offered(server, by_turn) -> None:
    server.script(by_turn)
    program = [PROGRAM, "segment", "scene.png", QUERY, "--planner", "openai:m", "--base-url", server.url]
    terminal, end = pty.openpty()
    with subprocess.Popen([*program, "--wire", "native"], stdout=subprocess.DEVNULL, stderr=end) as process:
        os.close(end)
        shown = b""
        with suppress(OSError):  # raised when the program has closed its end
            while part := os.read(terminal, 4096):
                shown += part
    os.close(terminal)
    assert process.returncode == 0
    assert "openai:m, workspace toolset; native tools" in re.sub(r"\s+", " ", shown.decode())


def test_a_grammar_is_recorded_too() -> None:
    assert segment("--threshold", "0.3", "--record", "calls", "--out", "first").returncode == 0
    again = replay("calls", "--out", "second")
    assert (again.returncode, again.stderr) == (0, "")
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
    assert (done.returncode, done.stderr) == (0, "")
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
    assert (done.returncode, done.stdout) == (2, "")
    [line] = done.stderr.splitlines()
    assert complaint in line


def test_another_query_was_not_recorded() -> None:
    recorded("calls", *(Call(*call) for call in CALLS))
    program = [PROGRAM, "segment", "scene.png", "the bananas", "--planner", "replay:calls"]
    done = subprocess.run(program, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "holds no recording of this call" in done.stderr
    assert not Path("out").exists()
