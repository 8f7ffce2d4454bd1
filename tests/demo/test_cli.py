"""`sam3-agent demo` says in one line why it cannot start."""

import asyncio
import re
import socket

import httpx
import pytest
from fastapi import FastAPI
from typer.testing import CliRunner

from agent.cli.main import app
from demo.cli import AUTH
from demo.engine import Engine
from demo.planners import parse_planners
from demo.server import mount_page
from sam3_tool.errors import UserError


def test_a_password_that_cannot_be_used_is_not_shown(monkeypatch):
    monkeypatch.setenv(AUTH, "hunter2")
    done = CliRunner().invoke(app, ["demo"])
    assert (done.exit_code, done.stderr) == (2, f"error: --auth (or {AUTH}) must be USER:PASSWORD, both not empty\n")


def test_a_port_that_is_taken_is_one_line():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = CliRunner().invoke(app, ["demo", "--port", str(taken.getsockname()[1])])
    assert done.exit_code == 2
    assert "choose another --port" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_proxy_that_the_page_cannot_use_is_one_line(monkeypatch):
    monkeypatch.setenv("all_proxy", "socks4://127.0.0.1:9")
    done = CliRunner().invoke(app, ["demo", "--port", "0"])
    assert done.exit_code == 2
    assert done.stderr.startswith("error: the environment variable all_proxy holds no address of a proxy")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--price", "nonsense"], "--price must be PROMPT,COMPLETION"),
        (["--max-cost", "1"], "--max-cost needs a price"),
        (["--toolset", "nonsense"], "nonsense"),
        (["--root-path", "https://site.example/sam3"], "is no path of an address; expected e.g. /sam3"),
        (["--planner", "grammar", "--planner", "replay:missing.json"], "missing.json"),
    ],
)
def test_options_that_no_answer_can_be_given_with_end_the_command(options, said):
    done = CliRunner().invoke(app, ["demo", "--port", "0", *options])
    assert (done.exit_code, done.stderr.count("\n")) == (2, 1)
    assert said in done.stderr


def test_the_page_is_mounted_beside_other_routes():
    site = mount_page(FastAPI(), "/tools/sam3")

    async def look():
        async with httpx.AsyncClient(transport=httpx.ASGITransport(site), base_url="http://site.example") as client:
            return [await client.get(path) for path in ("/tools/sam3/", "/tools/sam3/theme.css")]

    page, theme = asyncio.run(look())
    assert (page.status_code, theme.status_code) == (200, 200)
    assert "connect-src 'self'" in page.headers["content-security-policy"]
    assert "http://site.example/tools/sam3" in page.text
    with pytest.raises(UserError, match="nonsense"):
        mount_page(FastAPI(), "/sam3", planner="replay:nonsense.json")


def make_planners(*words, **values):
    return parse_planners({"planner": list(words), **values})


def test_several_planners_have_names_without_addresses_and_the_options_that_each_takes():
    local, big, grammar = make_planners(
        "openai:A", "big=openai:B@https://there:1/v1", "grammar", base_url="http://here/v1"
    )
    assert [one.name for one in (local, big, grammar)] == ["openai:A", "big", "grammar"]
    assert [one.options.base_url for one in (local, big, grammar)] == ["http://here/v1", "https://there:1/v1", None]
    engine = Engine(local.options, (local, big, grammar))
    assert engine.default_planner == "openai:A"
    assert [choice.name for choice in engine.planner_choices] == ["openai:A", "big", "grammar"]


def test_a_page_always_offers_the_grammar_whatever_options_another_planner_has():
    (only,) = make_planners("openai:A", strategy="router", temperature="0.2")
    assert [*Engine(only.options, (only,)).offered] == ["openai:A", "grammar"]


@pytest.mark.parametrize("model", ["accounts/fireworks/models/" + "a" * 60, "a" * 300])
def test_a_planner_without_a_name_may_be_as_long_as_its_model(model):
    (only,) = make_planners(f"openai:{model}")
    assert only.name == f"openai:{model}"


@pytest.mark.parametrize(
    ("words", "values", "said"),
    [
        (["grammar", "grammar"], {}, "two planners are called 'grammar'"),
        (["a=grammar", "a=openai:B"], {}, "give one another name, as in NAME=grammar"),
        (["a=grammar", "b="], {}, "no planner stands in 'b='"),
        (["=grammar"], {}, "must have 1 to 60 printable characters"),
        (["grammar", "replay:x"], {"base_url": "http://here/v1"}, "--base-url is of no use to --planner grammar"),
        (["grammar", "nonsense:x"], {}, "nonsense"),
    ],
)
def test_planners_that_cannot_be_offered_are_one_sentence(words, values, said):
    with pytest.raises(UserError, match=re.escape(said)):
        make_planners(*words, **values)
