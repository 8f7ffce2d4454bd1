"""The Python client against a real server on loopback, as a stranger would use it."""

import asyncio
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
from fastapi import FastAPI

from agent.report.result import Result
from sam3_tool import Sam3
from serve.client import AsyncSam3Client, RemoteError, Sam3Client, decode_answer
from serve.client.exchanges import parse_line
from serve.http.app import create_app
from serve.http.auth import TokenBook
from serve.http.settings import ServeSettings
from serve.talk.talk import Talk
from tests.support.serving import ANNA, BEN, HEIGHT, WIDTH, serve_in_thread, write_image

ROOT = Path(__file__).parents[3]
WHITE = np.full((HEIGHT, WIDTH, 3), 255, np.uint8)


@pytest.fixture(scope="module")
def app(sam3: Sam3) -> FastAPI:
    return create_app(ServeSettings(tokens=TokenBook.parse(f"anna:{ANNA},ben:{BEN}"), drain_seconds=0), sam3)


@pytest.fixture(scope="module")
def address(app: FastAPI) -> Iterator[str]:
    with serve_in_thread(app) as address:
        yield address


@pytest.fixture
def client(address: str) -> Iterator[Sam3Client]:
    with Sam3Client(address, token=ANNA, patience=5) as client:
        yield client


@pytest.fixture
def forget(app: FastAPI) -> Callable[[], None]:
    """Let the server forget every image."""

    def forget_images() -> None:
        talk: Talk = app.state.talk
        tenant = talk.services.settings.tokens.tenants[0]
        for shelf in list(talk.services.images._shelves.values()):
            for key in list(shelf.kept):
                talk.services.images.drop(tenant, key)

    return forget_images


def test_masks_come_as_arrays_whatever_the_image_is(client: Sam3Client, tmp_path: Path) -> None:
    path = tmp_path / "shelf.png"
    path.write_bytes(write_image())
    for image in (path, str(path), write_image(), WHITE, client.upload(WHITE)):
        cups, hats = client.segment(image, ["cup", "hat"])
        masks = decode_answer(cups.instances)
        assert (masks.shape, masks.dtype, [mask.sum() for mask in masks]) == ((2, HEIGHT, WIDTH), bool, [360, 200])
        assert [mask.area for mask in cups.instances] == [360, 200]
        assert (hats.phrase, hats.instances, decode_answer(hats.instances).shape) == ("hat", [], (0, 0, 0))


def test_a_query_a_click_and_a_stream(client: Sam3Client) -> None:
    result = client.ask(WHITE, "all the cups", budget={"max_steps": 5})
    assert (result.outcome, result.count) == ("answered", 2)
    *steps, last = client.watch(WHITE, "all the cups")
    assert isinstance(last, Result)
    assert (last.masks, len(steps)) == (result.masks, last.usage.sam_decodes + 1)
    refined = client.refine(WHITE, points=[(50, 35)])
    assert decode_answer(refined.candidates)[0].sum() == 200


def test_an_image_that_the_server_forgot_is_uploaded_again(client: Sam3Client, forget: Callable[[], None]) -> None:
    image = client.upload(WHITE)
    for call in (
        lambda: client.segment(image, ["cup"]),
        lambda: client.ask(image, "all the cups"),
        lambda: [*client.watch(image, "all the cups")],
        lambda: client.start_conversation(image),
    ):
        forget()
        assert call()


def test_a_conversation_goes_on_from_a_state_that_nobody_has_left(client: Sam3Client) -> None:
    begun = client.start_conversation(WHITE, "shelf.png")
    said = client.take_turn(begun, "say", query="all the cups")
    kept = client.take_turn(said, "keep", ids=[1])
    assert [mask.id for mask in kept.masks] == [1]
    with pytest.raises(RemoteError, match="somebody else was faster") as moved:
        client.take_turn(said, "keep", ids=[2])
    assert (moved.value.status, moved.value.code) == (409, "conversation_moved")
    assert client.get_conversation(begun.conversation).etag == kept.etag
    shown = client.take_turn(kept, "show", image=WHITE)
    assert shown.count == 0


def test_a_job_is_waited_for_read_and_resumed(client: Sam3Client, forget: Callable[[], None]) -> None:
    job = client.start_job([WHITE, WHITE], phrases=["cup"])
    assert client.wait_for_job(job.job, every=0.02).state == "done"
    rows = client.read_job(job.job)
    assert [row.result["results"][0]["phrase"] for row in rows] == ["cup", "cup"]
    key = client.upload(WHITE)
    forget()
    gone = client.start_job([key], query="all the cups")
    assert client.wait_for_job(gone.job, every=0.02).errors[0].code == "image_gone"
    client.resume_job(gone.job, [key])
    ended = client.wait_for_job(gone.job, every=0.02)
    assert (ended.done, ended.failed) == (1, 0)
    client.cancel_job(gone.job)
    with pytest.raises(RemoteError, match="no such job"):
        client.get_job(gone.job)


def test_errors_are_one_sentence_with_the_servers_code(client: Sam3Client, address: str) -> None:
    with pytest.raises(RemoteError, match="planner: expected one of grammar") as refused:
        client.ask(WHITE, "cups", planner="nobody")
    assert (refused.value.status, refused.value.code) == (422, "planner_not_allowed")
    assert refused.value.request_id
    with Sam3Client(address, token="wrong") as stranger, pytest.raises(RemoteError) as unknown:
        stranger.upload(WHITE)
    assert unknown.value.status == 401
    with pytest.raises(RemoteError) as no_image:
        client.upload(b"no image")
    assert no_image.value.code == "not_an_image"
    with pytest.raises(FileNotFoundError):
        client.upload("nowhere.png")


def test_an_event_loop_has_the_same_calls(address: str) -> None:
    async def ask() -> tuple[Any, ...]:
        async with AsyncSam3Client(address, token=ANNA) as client:
            both = await asyncio.gather(client.ask(WHITE, "all the cups"), client.segment(WHITE, ["cup"]))
            lines = [line async for line in client.watch(WHITE, "all the cups")]
            job = await client.start_job([WHITE], phrases=["cup"])
            ended = await client.wait_for_job(job.job, every=0.02)
            return *both, lines[-1], ended

    result, found, last, ended = asyncio.run(ask())
    assert (result.count, len(found[0].instances), last.count, ended.state) == (2, 2, 2, "done")
    assert {*vars(Sam3Client)} - {"__enter__", "__exit__"} == {*vars(AsyncSam3Client)} - {"__aenter__", "__aexit__"}


# servers that are busy, gone, or something else


def answer_in_turn(*answers: Any) -> tuple[Sam3Client, list[httpx2.Request]]:
    """A client whose requests are answered in turn, the last answer for ever; and what it asked."""
    asked: list[httpx2.Request] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        asked.append(request)
        given = answers[min(len(asked), len(answers)) - 1]
        if isinstance(given, Exception):
            raise given
        status, body, headers = given
        return httpx2.Response(status, json=body, headers=headers)

    return Sam3Client("http://server.test", patience=2.5, transport=httpx2.MockTransport(answer)), asked


BUSY = (429, {"error": {"code": "busy", "message": "the server is busy"}}, {"retry-after": "0"})
JOB = {"job": "j", "state": "done", "images": 1, "done": 1, "failed": 0, "errors": [], "created": 0.0, "ended": 1.0}
FOUND = (200, {**JOB, "webhook": "none", "webhook_error": ""}, {})


def test_a_busy_server_is_asked_again_when_it_says() -> None:
    client, asked = answer_in_turn(BUSY, httpx2.ConnectError("refused"), BUSY, FOUND)
    assert client.get_job("j").state == "done"
    assert len(asked) == 4


def test_patience_ends() -> None:
    client, asked = answer_in_turn(BUSY, (429, BUSY[1], {"retry-after": "3"}))
    with pytest.raises(RemoteError, match="the server is busy"):
        client.get_job("j")
    assert len(asked) == 2
    client, asked = answer_in_turn(httpx2.ConnectError("refused"))
    with pytest.raises(RemoteError, match=r"http://server.test cannot be reached") as lost:
        client.get_job("j")
    assert (lost.value.code, len(asked)) == ("unreachable", 4)


def test_a_request_that_is_sent_again_has_the_same_key() -> None:
    client, asked = answer_in_turn(httpx2.ReadError("reset"), BUSY, (202, FOUND[1], {}))
    client.start_job([], query="cups")
    assert len({request.headers["idempotency-key"] for request in asked}) == 1


def test_a_page_of_a_proxy_is_an_error_too() -> None:
    client, _ = answer_in_turn((502, "<html>", {}))
    with pytest.raises(RemoteError, match="the server answered 502 Bad Gateway"):
        client.get_job("j")


def test_a_stream_that_fails_or_breaks_off_says_so() -> None:
    failed = '{"type":"error","error":{"code":"model_failed","message":"SAM 3 failed","request_id":"r1"}}'
    with pytest.raises(RemoteError, match="SAM 3 failed"):
        parse_line(failed)
    assert parse_line('{"type":"waiting"}') is None
    transport = httpx2.MockTransport(lambda request: httpx2.Response(200, text='{"type":"waiting"}\n'))
    with Sam3Client("http://server.test", transport=transport) as client:
        client._exchanges._remember_key(write_image(), "k")
        with pytest.raises(RemoteError, match="broke off"):
            [*client.watch(write_image(), "cups")]


def test_importing_the_client_loads_no_network_and_no_server() -> None:
    heavy = {"torch", "transformers", "fastapi", "starlette", "uvicorn", "lark", "openai"}
    program = f"import sys, serve.client; print(*sorted({heavy!r} & set(sys.modules)))"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    assert loaded.stdout.strip() == ""
