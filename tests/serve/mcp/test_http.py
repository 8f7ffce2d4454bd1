"""The server over HTTP: two callers at once, tokens, other web pages, large bodies, and clients that leave."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import httpx2
import pytest
import uvicorn
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client

from agent import Decision
from agent.core.errors import UsageError
from agent.planners.scripted import ScriptedPlanner
from agent.tools.toolsets import Answer, Segment
from sam3_tool.network.listening import open_listener
from serve.http.middleware.auth import TokenBook
from serve.mcp.runner import Runner
from serve.mcp.server import build_server
from serve.mcp.transports import HttpOptions, build_http_app
from tests.serve.mcp.conftest import MIB, build_runner

ADA, BEN = "ada-has-this-long-token", "ben-has-another-long-token"
LIMIT = 6 * MIB
AGES = ("auto", "legacy")


@contextmanager
def serve(runner: Runner, tokens: str = "") -> Iterator[str]:
    """A real server at a port of this machine, in a thread."""
    with open_listener("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        options = HttpOptions("127.0.0.1", port, TokenBook.parse(tokens))
        app = build_http_app(build_server(runner), options, max_bytes=LIMIT)
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, timeout_graceful_shutdown=1))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield options.build_url(port)
        finally:
            server.should_exit = True
            thread.join()


@asynccontextmanager
async def connect(url: str, token: str, mode: str) -> AsyncIterator[Client]:
    headers = {"authorization": f"Bearer {token}"} if token else {}
    async with (
        httpx2.AsyncClient(headers=headers, timeout=60) as http,
        Client(streamable_http_client(url, http_client=http), mode=mode) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with serve(build_runner(max_bytes=LIMIT), f"ada:{ADA},ben:{BEN}") as url:
        yield url


@pytest.mark.parametrize("age", AGES)
def test_two_callers_at_once_see_nothing_of_each_other(address, png, age):
    async def find_cups(token: str, point: list[int]) -> tuple[str, list[int]]:
        async with connect(address, token, age) as client:
            opened = await client.call_tool("open_image", {"data": png})
            handle = opened.structured_content["image"]
            await client.call_tool("segment", {"image": handle, "phrases": ["cup"]})
            clicked = await client.call_tool("refine", {"image": handle, "points": [point]})
            return handle, [mask["id"] for mask in clicked.structured_content["masks"]]

    async def look_for(token: str, handle: str) -> Any:
        async with connect(address, token, age) as client:
            await client.call_tool("close_image", {"image": handle})
            with pytest.raises(MCPError, match="is open"):
                await client.read_resource(f"sam3://images/{handle}/masks/1.png")
            return await client.call_tool("count", {"image": handle, "ids": [1]})

    async def story() -> None:
        first, second = await asyncio.gather(find_cups(ADA, [8, 8]), find_cups(BEN, [35, 25]))
        assert first == second == (first[0], [1, 2, 3, 4])
        gone = await look_for(BEN, first[0])
        assert "Call `open_image` again" in gone.content[0].text
        again = await find_cups(ADA, [60, 40])
        assert again == (first[0], [1, 2, 3, 5])
        await look_for(ADA, first[0])

    asyncio.run(story())


def post(url: str, body: Any, **headers: str) -> httpx2.Response:
    given = {"content-type": "application/json", "accept": "application/json, text/event-stream", **headers}
    content = body if isinstance(body, bytes | str) else json.dumps(body)
    return httpx2.post(url, content=content, headers=given, timeout=60)


def build_call(name: str, arguments: str) -> str:
    """The body of a call, with `arguments` as they are: JSON, or nearly."""
    meta = {"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {}}
    params = json.dumps({"name": name, "arguments": "ARGUMENTS", "_meta": meta}).replace('"ARGUMENTS"', arguments)
    return f'{{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {params}}}'


MODERN = {"mcp-protocol-version": "2026-07-28", "mcp-method": "tools/call"}
GREETING = {
    **{"jsonrpc": "2.0", "id": 1, "method": "initialize"},
    "params": {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "a stranger", "version": "1"},
    },
}


@pytest.mark.parametrize(
    "token", [None, "", "Bearer", "Bearer nobody-has-this-token", f"Basic {ADA}", f"Bearer {ADA}x"]
)
def test_nobody_gets_in_without_a_token(address, token):
    refused = post(address, GREETING, **({} if token is None else {"authorization": token}))
    assert refused.status_code == 401
    assert post(address, GREETING, authorization=f"Bearer {ADA}").status_code == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [({}, 200), ({"host": "attacker.example"}, 421), ({"origin": "https://attacker.example"}, 403)],
)
def test_a_web_page_cannot_have_a_browser_call_it(address, headers, status):
    assert post(address, GREETING, authorization=f"Bearer {ADA}", **headers).status_code == status


def test_bodies_may_be_as_large_as_the_largest_image_and_no_larger(address):
    bearer = {"authorization": f"Bearer {ADA}", **MODERN, "mcp-name": "open_image"}
    fits = post(address, build_call("open_image", f'{{"data": "{"A" * (LIMIT * 4 // 3)}"}}'), **bearer)
    assert fits.status_code == 200
    assert "expected an image file" in fits.text
    assert post(address, b"x" * (LIMIT * 4 // 3 + 2 * MIB), **bearer).status_code == 413


@pytest.mark.parametrize("phrase", ["\\ud83d", "\\u0000", "\\u202e", "a" * 200])
def test_a_phrase_of_odd_letters_is_answered(address, png, phrase):
    bearer = {"authorization": f"Bearer {ADA}", **MODERN}
    opened = post(address, build_call("open_image", json.dumps({"data": png})), **bearer, **{"mcp-name": "open_image"})
    handle = opened.json()["result"]["structuredContent"]["image"]
    body = build_call("segment", f'{{"image": "{handle}", "phrases": ["{phrase}"]}}')
    answer = post(address, body, **bearer, **{"mcp-name": "segment"})
    assert answer.status_code == 200
    text = answer.json()["result"]["content"][0]["text"]
    assert "nothing for" in text or "correct this and call it again" in text


@pytest.mark.parametrize(
    "arguments", ['{"image": "HANDLE", "phrases": ["cup"], "threshold": NaN}', '{"image": "HANDLE", "phrases": [NaN]}']
)
def test_a_number_that_is_none_is_a_mistake_and_no_defect(address, png, arguments, caplog):
    bearer = {"authorization": f"Bearer {ADA}", **MODERN}
    opened = post(address, build_call("open_image", json.dumps({"data": png})), **bearer, **{"mcp-name": "open_image"})
    handle = opened.json()["result"]["structuredContent"]["image"]
    body = build_call("segment", arguments.replace("HANDLE", handle))
    answer = post(address, body, **bearer, **{"mcp-name": "segment"}).json()
    assert answer["result"]["isError"] is True
    assert "correct this and call it again" in answer["result"]["content"][0]["text"]
    assert caplog.records == []


def test_a_client_that_leaves_stops_the_answer_and_the_server_goes_on(png):
    waits, may_go_on, went_on = threading.Event(), threading.Event(), threading.Event()

    def hesitate(episode: Any) -> Decision | Segment:
        waits.set()
        may_go_on.wait()
        return Segment(phrases=["hat"])

    def answer(episode: Any) -> Decision | Answer:
        went_on.set()
        return Answer(ids=[1])

    runner = build_runner(planner=ScriptedPlanner([Segment(phrases=["cup"]), hesitate, answer]), max_bytes=LIMIT)

    async def story(url: str) -> None:
        async with connect(url, "", "auto") as client:
            handle = (await client.call_tool("open_image", {"data": png})).structured_content["image"]
        asked = build_call("ask", json.dumps({"image": handle, "query": "the first cup"}))
        async with httpx2.AsyncClient() as leaving:
            headers = {**MODERN, "mcp-name": "ask", "content-type": "application/json"}
            headers |= {"accept": "application/json, text/event-stream"}
            call = asyncio.create_task(leaving.post(url, content=asked, headers=headers, timeout=60))
            await asyncio.to_thread(waits.wait)
            call.cancel()
        async with connect(url, "", "auto") as client:
            counted = await client.call_tool("count", {"image": handle, "ids": []})
            assert counted.content[0].text == "0 masks."

    with serve(runner) as url:
        asyncio.run(story(url))
        may_go_on.set()
    assert not went_on.is_set()


@pytest.mark.parametrize(
    ("host", "tokens", "names", "said"),
    [
        ("0.0.0.0", "", (), "--tokens"),
        ("192.0.2.1", "", ("sam3.example.org",), "--tokens"),
        ("0.0.0.0", f"ada:{ADA}", (), "--allow-host"),
    ],
)
def test_a_server_that_anybody_could_use_does_not_start(host, tokens, names, said):
    with pytest.raises(UsageError, match=said):
        HttpOptions(host, 8001, TokenBook.parse(tokens), names)


def test_a_name_that_was_allowed_is_answered():
    options = HttpOptions("0.0.0.0", 8001, TokenBook.parse(f"ada:{ADA}"), ("sam3.example.org",))
    security = options.build_security()
    assert "sam3.example.org" in security.allowed_hosts
    assert "https://sam3.example.org" in security.allowed_origins
    assert "127.0.0.1" not in security.allowed_hosts
