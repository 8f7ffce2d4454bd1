"""What the doctor says about planners and keys; it shows no secret, and asks no server unless told to."""

import re
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from agent.cli.doctor import list_required_packages
from agent.cli.main import app

KEY = "sk-this-must-not-be-seen"
PROJECT = Path(__file__).parents[3] / "pyproject.toml"


def doctor(*words: str):
    return CliRunner().invoke(app, ["doctor", *words])


def line(report: str, name: str) -> str:
    """The line about one thing, with single spaces."""
    [found] = [one for one in report.splitlines() if one.split()[1:2] == [name]]
    return " ".join(found.split())


@pytest.fixture(autouse=True)
def _no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "HF_TOKEN"):
        monkeypatch.delenv(name, raising=False)


def test_it_looks_for_every_package_that_is_needed():
    project = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]
    assert sorted(re.split("[>=]", need)[0] for need in project["dependencies"]) == sorted(list_required_packages())


def test_it_says_what_there_is_and_shows_no_secret(monkeypatch):
    secrets = {"HF_TOKEN": "hf_secret", "OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": f"http://me:{KEY}@nowhere.test/v1"}
    for name, value in secrets.items():
        monkeypatch.setenv(name, value)
    done = doctor()
    assert done.exit_code == 0
    assert not {"hf_secret", KEY, "nowhere.test"} & set(re.split(r"[\s@/:]+", done.output))
    assert line(done.stdout, "OPENAI_API_KEY") == "ok OPENAI_API_KEY set"
    for word in ("python", "device", "torch", "tiny", "facebook/sam3", "grammar", "HF_TOKEN", "What to do next"):
        assert word in done.stdout


def test_without_a_server_it_says_how_to_get_one():
    done = doctor()
    assert line(done.stdout, "openai:MODEL") == "- openai:MODEL needs --base-url, OPENAI_BASE_URL or OPENAI_API_KEY"
    assert "--planner openai:MODEL --base-url http://localhost:8000/v1" in done.stdout


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("OPENAI_BASE_URL", "at the server of OPENAI_BASE_URL, without a key"),
        ("OPENAI_API_KEY", "at api.openai.com, with a key"),
    ],
)
def test_a_server_is_known_by_its_address_or_by_a_key(monkeypatch, name, told):
    monkeypatch.setenv(name, "http://localhost:1/v1")
    assert told in line(doctor().stdout, "openai:MODEL")


def test_an_empty_variable_is_not_set(monkeypatch):
    monkeypatch.setenv("OPENAI_BASE_URL", " ")
    assert line(doctor().stdout, "OPENAI_BASE_URL") == "- OPENAI_BASE_URL not set"


def test_models_in_this_process_are_known_by_their_packages():
    assert line(doctor().stdout, "transformers:MODEL").startswith("ok transformers:MODEL in this process")
    known = r"(ok vllm:MODEL in this process|- vllm:MODEL vllm is not installed)"
    assert re.match(known, line(doctor().stdout, "vllm:MODEL"))


def test_a_planner_can_be_tried():
    done = doctor("--planner", "grammar")
    assert done.exit_code == 0
    assert "tried\n  ok  grammar" in done.stdout


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["openai:"], "names no model"),
        (["crystal-ball"], "there is no planner 'crystal-ball'"),
        (["openai:some-model"], "OPENAI_API_KEY"),
        (["grammar", "--base-url", "http://localhost:1"], "has no option 'base_url'"),
    ],
)
def test_a_planner_that_cannot_be_made_is_a_problem_with_a_reason(words, complaint):
    done = doctor("--planner", *words)
    assert done.exit_code == 1
    [problem] = [one for one in done.stdout.splitlines() if one.startswith("  !!")]
    assert complaint in problem
    assert not re.search(r"Traceback|/site-packages/", done.output)


def test_a_server_that_does_not_answer_is_a_problem_with_a_reason(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    done = doctor("--planner", "openai:some-model", "--base-url", "http://127.0.0.1:9/v1")
    assert done.exit_code == 1
    assert "127.0.0.1:9" in done.stdout
    assert KEY not in done.output
