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
from sam3_tool.synthetic.clips import draw_clip
from serve.client import AsyncSam3Client, RemoteError, Sam3Client, decode_answer
from serve.client.exchanges import parse_line
from serve.http.app import create_app
from serve.http.middleware.auth import TokenBook
from serve.http.settings import ServeSettings
from serve.talk.talk import Talk
from tests.support.films import write_film
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


def test_a_text_alone_is_one_phrase_and_numpy_sends_what_lists_send(client: Sam3Client) -> None:
    assert [len(found.instances) for found in client.segment(WHITE, "cup")] == [2]
    for convert in (np.array, lambda rows: np.array(rows, np.float32), lambda rows: [*map(np.array, rows)]):
        by_box = client.segment(WHITE, ["cup"], boxes=convert([[6, 4, 24, 16]]), box_labels=np.array([1]))
        assert by_box == client.segment(WHITE, ["cup"], boxes=[[6, 4, 24, 16]], box_labels=[1])
        refined = client.refine(WHITE, points=convert([[50, 35]]), labels=np.array([1]))
        assert refined == client.refine(WHITE, points=[(50, 35)], labels=[1])
    state = client.start_conversation(WHITE)
    assert client.take_turn(state, "click", x=np.int64(50), y=np.float32(35)).count == 1


@pytest.mark.parametrize(
    "pixels", [WHITE / 255, WHITE[..., 0], np.dstack([WHITE, WHITE[..., :1]]), WHITE.transpose(2, 0, 1), WHITE[:0]]
)
def test_pixels_that_would_be_read_as_another_image_are_not_sent(client: Sam3Client, pixels: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"uint8 \(H, W, 3\)"):
        client.segment(pixels, ["cup"])


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


# videos, which the embedded network follows


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four frames, two a second."""
    path = tmp_path_factory.mktemp("film") / "film.webp"
    path.write_bytes(write_film(draw_clip(3, length=4).frames))
    return path


@pytest.fixture(scope="module")
def tiny_app() -> FastAPI:
    return create_app(ServeSettings(tokens=TokenBook.parse(f"anna:{ANNA}"), drain_seconds=0), Sam3.load("tiny"))


@pytest.fixture(scope="module")
def tiny_address(tiny_app: FastAPI) -> Iterator[str]:
    with serve_in_thread(tiny_app) as address:
        yield address


@pytest.fixture
def viewer(tiny_address: str) -> Iterator[Sam3Client]:
    with Sam3Client(tiny_address, token=ANNA, patience=5) as client:
        yield client


@pytest.fixture
def forget_films(tiny_app: FastAPI) -> Callable[[], None]:
    """Let the server forget every video."""

    def forget_videos() -> None:
        videos = tiny_app.state.services.videos
        for path, *_ in videos._list_files("*"):
            videos._remove(path)

    return forget_videos


def test_a_video_is_asked_about_and_uploaded_again_when_it_is_forgotten(
    viewer: Sam3Client, film: Path, forget_films: Callable[[], None]
) -> None:
    video = viewer.upload_video(film)
    assert (video.width, video.height, video.frames, video.seconds) == (256, 192, 4, 1.5)
    result = viewer.ask(video, "the largest object")
    assert result.video is not None
    assert result.masks[0].track is not None
    assert (result.video.frames, result.masks[0].track.frames) == (4, [0, 1, 2, 3])
    forget_films()
    *steps, last = viewer.watch(viewer.upload_video(film.read_bytes()), "the largest object", since=1.0)
    assert isinstance(last, Result)
    assert last.video is not None
    assert (last.video.first_frame, last.video.last_frame, len(steps) > 0) == (2, 3, True)
    forget_films()
    assert viewer.ask(video, "the largest object", until=0.2).outcome == "answered"


def test_a_conversation_and_a_job_about_a_video(
    viewer: Sam3Client, film: Path, forget_films: Callable[[], None]
) -> None:
    video = viewer.upload_video(str(film))
    forget_films()
    begun = viewer.start_conversation(video, "film.webp", until=0.6)
    assert begun.video is not None
    assert begun.video.last_frame == 1
    said = viewer.take_turn(begun, "say", query="the largest object")
    assert said.masks[0].track is not None
    forget_films()
    shown = viewer.take_turn(said, "show", video=video, since=1.0)
    assert shown.video is not None
    assert (shown.video.first_frame, shown.count) == (2, 0)
    job = viewer.start_job(videos=[video, video], query="the largest object")
    ended = viewer.wait_for_job(job.job, every=0.02)
    assert (ended.done, ended.failed, [row.video for row in viewer.read_job(job.job)]) == (2, 0, [video.key] * 2)


def test_a_job_about_a_video_that_was_forgotten_goes_on_when_it_is_resumed(
    viewer: Sam3Client, film: Path, forget_films: Callable[[], None]
) -> None:
    video = viewer.upload_video(film)
    forget_films()
    job = viewer.start_job(videos=[video], query="the largest object")
    assert viewer.wait_for_job(job.job, every=0.02).errors[0].code == "video_gone"
    viewer.resume_job(job.job, videos=[video])
    ended = viewer.wait_for_job(job.job, every=0.02)
    assert (ended.done, ended.failed) == (1, 0)


def test_a_file_that_has_changed_is_not_taken_for_the_video_that_was_uploaded(
    viewer: Sam3Client, film: Path, tmp_path: Path, forget_films: Callable[[], None]
) -> None:
    path = tmp_path / "film.webp"
    path.write_bytes(film.read_bytes())
    video = viewer.upload_video(path)
    path.write_bytes(film.read_bytes()[:-1])
    forget_films()
    with pytest.raises(ValueError, match="has changed since it was uploaded; call `upload_video` again"):
        viewer.ask(video, "the largest object")


def test_wrong_videos_are_refused_with_the_servers_code(viewer: Sam3Client, film: Path) -> None:
    for wrong in (b"no film at all", write_image()):
        with pytest.raises(RemoteError) as refused:
            viewer.upload_video(wrong)
        assert refused.value.code == "not_a_video"
    with pytest.raises(FileNotFoundError):
        viewer.upload_video("nowhere.mp4")
    with pytest.raises(RemoteError, match="`since` and `until`"):
        viewer.ask(viewer.upload_video(film), "the largest object", since=99)
    with pytest.raises(RemoteError, match="this is about an image"):
        viewer.ask(WHITE, "cups", since=0)
    with pytest.raises(RemoteError, match="either `images` or `videos`"):
        viewer.start_job([WHITE], videos=[viewer.upload_video(film)], query="cups")


def test_an_event_loop_asks_about_videos_too(tiny_address: str, film: Path) -> None:
    async def ask() -> tuple[Any, ...]:
        async with AsyncSam3Client(tiny_address, token=ANNA) as client:
            video = await client.upload_video(film)
            lines = [line async for line in client.watch(video, "the largest object", until=0.6)]
            begun = await client.start_conversation(video, since=1.0)
            shown = await client.take_turn(begun, "show", video=video)
            job = await client.start_job(videos=[video], query="the largest object")
            return lines[-1], shown, await client.wait_for_job(job.job, every=0.02)

    last, shown, ended = asyncio.run(ask())
    assert (last.video.last_frame, shown.video.frames, ended.done, ended.failed) == (1, 4, 1, 0)


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
