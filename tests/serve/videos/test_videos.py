"""Videos over HTTP: uploaded once, asked about by key, and refused in one sentence where images are expected."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

from agent import GrammarPlanner, Task, run
from agent.report.result import Result
from agent.tools import PAPER, VIDEO
from sam3_tool import Sam3, Video
from sam3_tool.masks.rle import RleMask, decode_mask
from sam3_tool.synthetic.clips import draw_clip
from serve.http.app import create_app
from serve.http.errors import ApiError
from serve.http.middleware.auth import Tenant, TokenBook
from serve.http.settings import ServeSettings
from serve.talk.planners import PlannerBook
from serve.talk.settings import TalkSettings
from serve.videos.store import VideoStore
from tests.support.films import write_film
from tests.support.serving import ANNA, BEN, as_tenant, write_image

QUERY = "all the objects"


@pytest.fixture(scope="module")
def film() -> bytes:
    """Four frames, two a second."""
    return write_film(draw_clip(3, length=4).frames)


@pytest.fixture(scope="module")
def video(film: bytes, tmp_path_factory: pytest.TempPathFactory) -> Video:
    path = tmp_path_factory.mktemp("film") / "film.webp"
    path.write_bytes(film)
    return Video.open(path)


@pytest.fixture(scope="module")
def tiny() -> Sam3:
    return Sam3.load("tiny")


@pytest.fixture(scope="module")
def anna(tiny: Sam3) -> Iterator[TestClient]:
    """A client that is anna. Its server has two tenants and the embedded checkpoint."""
    book = TokenBook.parse(f"anna:{ANNA},ben:{BEN}")
    with TestClient(create_app(ServeSettings(tokens=book), tiny), headers=as_tenant(ANNA)) as client:
        yield client


@pytest.fixture(scope="module")
def key(anna: TestClient, film: bytes) -> str:
    return str(anna.post("/v1/videos", content=film).json()["video"])


@pytest.fixture(scope="module")
def expected(tiny: Sam3, video: Video) -> Result:
    """What the library answers in process."""
    episode = run(Task.from_video(video, QUERY), GrammarPlanner(toolset=VIDEO), tiny)
    return Result.from_episode(episode, seconds=0)


def test_an_upload_says_what_was_sent_and_is_found_again(anna: TestClient, film: bytes, key: str) -> None:
    sent = anna.post("/v1/videos", files={"file": ("film.webp", film)})
    told = sent.json()
    assert (sent.status_code, sent.headers["location"]) == (201, f"/v1/videos/{key}")
    assert (told["width"], told["height"], told["frames"], told["seconds"]) == (256, 192, 4, 1.5)
    assert anna.get(f"/v1/videos/{key}").json() == told
    assert anna.head(f"/v1/videos/{key}").status_code == 200


def test_an_episode_about_a_video_is_that_of_the_library(anna: TestClient, key: str, expected: Result) -> None:
    answer = Result.model_validate_json(anna.post("/v1/episodes", json={"video": key, "query": QUERY}).content)
    assert expected.count > 1
    assert (answer.masks, answer.video, answer.message) == (expected.masks, expected.video, expected.message)
    assert all(mask.track is not None and len(mask.track.frames) == len(mask.track.counts) for mask in answer.masks)


def test_a_part_of_a_video_is_asked_about_by_seconds(anna: TestClient, key: str) -> None:
    asked = {"video": key, "query": QUERY, "since": 1.0}
    answer = anna.post("/v1/episodes", json=asked, headers={"accept": "application/x-ndjson"})
    *steps, last = map(json.loads, answer.text.splitlines())
    assert (last["result"]["video"]["first_frame"], last["result"]["video"]["last_frame"]) == (2, 3)
    assert {frame for mask in last["result"]["masks"] for frame in mask["track"]["frames"]} <= {2, 3}
    assert any(step["masks"] for step in steps)


def test_a_job_asks_the_same_of_many_videos(anna: TestClient, key: str, expected: Result) -> None:
    asked = {"videos": [key, "f" * 32], "query": QUERY}
    status = anna.post("/v1/jobs", json=asked).json()
    while anna.get(f"/v1/jobs/{status['job']}").json()["state"] != "done":
        pass
    rows = [json.loads(line) for line in anna.get(f"/v1/jobs/{status['job']}/result").text.splitlines()]
    assert [row["video"] for row in rows] == asked["videos"]
    assert Result.model_validate(rows[0]["result"]).masks == expected.masks
    assert rows[1]["error"]["code"] == "video_gone"
    assert "image" not in rows[0]


def test_a_conversation_about_a_video_goes_on_by_words_and_by_hand(anna: TestClient, key: str) -> None:
    begun = anna.post("/v1/conversations", json={"video": key, "name": "film.webp"}).json()
    place = f"/v1/conversations/{begun['conversation']}"
    assert (begun["video"]["video"], begun["video"]["frames"], begun["video"]["is_here"]) == (key, 4, True)
    said = anna.post(f"{place}/say", json={"query": "the largest object"}).json()
    [mask] = said["masks"]
    assert mask["track"]["frames"] == [0, 1, 2, 3]
    inside = np.argwhere(decode_mask(RleMask((192, 256), mask["track"]["counts"][2])))
    y, x = inside[len(inside) // 2].tolist()
    clicked = anna.post(f"{place}/click", json={"x": x, "y": y, "at": 1.0}).json()
    assert (clicked["outcome"], clicked["turns"][-1]["by_hand"], clicked["count"]) == ("answered", True, 1)
    assert clicked["masks"][0]["track"]["frames"]
    shown = anna.post(f"{place}/show", json={"video": key, "until": 0.6}).json()
    assert (shown["video"]["last_frame"], shown["count"], shown["cursor"]) == (1, 0, clicked["cursor"] + 1)


def test_a_conversation_outlives_a_restart_and_goes_on_once_its_video_is_sent_again(
    tiny: Sam3, film: bytes, tmp_path: Path
) -> None:
    settings = ServeSettings(talk=TalkSettings(conversation_folder=tmp_path))
    with TestClient(create_app(settings, tiny)) as client:
        key = client.post("/v1/videos", content=film).json()["video"]
        begun = client.post("/v1/conversations", json={"video": key}).json()
        place = f"/v1/conversations/{begun['conversation']}"
        said = client.post(f"{place}/say", json={"query": QUERY}).json()
    with TestClient(create_app(settings, tiny)) as client:
        found = client.get(place).json()
        assert (found["masks"], found["video"]["is_here"]) == (said["masks"], False)
        for verb, body in (("say", {"query": "the largest"}), ("click", {"x": 1, "y": 1})):
            lost = client.post(f"{place}/{verb}", json=body)
            assert (lost.status_code, lost.json()["error"]["code"]) == (409, "video_gone")
        assert client.post(f"{place}/keep", json={"ids": [1]}).json()["count"] == 1
        client.post("/v1/videos", content=film)
        back = client.post(f"{place}/show", json={"video": key}).json()
        assert (back["video"]["is_here"], back["count"]) == (True, 1)
        assert client.post(f"{place}/say", json={"query": QUERY}).json()["count"] == said["count"]


@pytest.mark.parametrize(
    ("place", "body", "code", "said"),
    [
        ("segment", {"image": "KEY", "phrases": ["cup"]}, "is_a_video", "ask about videos at /v1/episodes"),
        ("segment", {"video": "KEY", "phrases": ["cup"]}, "invalid", "ask about videos at /v1/episodes"),
        ("refine", {"video": "KEY", "points": [[1, 1]]}, "invalid", "ask about videos at /v1/episodes"),
        ("everything", {"image": "KEY"}, "is_a_video", "ask about videos at /v1/episodes"),
        ("episodes", {"image": "KEY", "query": "cup"}, "is_a_video", "ask about videos at"),
        ("episodes", {"query": "cup"}, "invalid", "either `image` or `video`"),
        ("episodes", {"image": "a", "video": "KEY", "query": "cup"}, "invalid", "either `image` or `video`"),
        ("episodes", {"image": "a", "query": "cup", "since": 1}, "invalid", "this is about an image"),
        ("episodes", {"video": "KEY", "query": "cup", "since": -1}, "invalid", "greater than or equal to 0"),
        ("episodes", {"video": "KEY", "query": "cup", "since": 99}, "invalid", "`since` and `until`"),
        ("episodes", {"video": "../KEY", "query": "cup"}, "video_gone", "upload it again"),
        ("conversations", {"video": "KEY", "since": 2, "until": 1}, "invalid", "`since` and `until`"),
        ("jobs", {"videos": ["KEY"], "phrases": ["cup"]}, "invalid", "ask about videos by `query`"),
        ("jobs", {"videos": ["KEY"], "images": ["a"], "query": "cup"}, "invalid", "either `images` or `videos`"),
        ("jobs", {"query": "cup"}, "invalid", "either `images` or `videos`"),
    ],
)
def test_a_wrong_question_says_what_is_expected(
    anna: TestClient, key: str, place: str, body: dict[str, Any], code: str, said: str
) -> None:
    asked = json.loads(json.dumps(body).replace("KEY", key))
    error = anna.post(f"/v1/{place}", json=asked).json()["error"]
    assert (error["code"], said in error["message"], "\n" in error["message"]) == (code, True, False), error


def test_the_key_of_an_image_is_no_video(anna: TestClient) -> None:
    image = anna.post("/v1/images", content=write_image()).json()["image"]
    error = anna.post("/v1/episodes", json={"video": image, "query": "cup"}).json()["error"]
    assert (error["code"], "give it as `image`" in error["message"]) == ("is_an_image", True)


@pytest.mark.parametrize(
    ("place", "content", "status", "code"),
    [
        ("images", b"\0\0\0\x18ftypmp42" + bytes(100), 415, "not_an_image"),
        ("videos", b"no film at all", 415, "not_a_video"),
        ("videos", write_image(), 415, "not_a_video"),
        ("videos", b"", 422, "invalid"),
    ],
)
def test_a_wrong_file_is_refused_and_not_kept(
    anna: TestClient, place: str, content: bytes, status: int, code: str
) -> None:
    answer = anna.post(f"/v1/{place}", content=content)
    message = answer.json()["error"]["message"]
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert "/tmp" not in message
    if content:
        assert {"images": "/v1/videos", "videos": "/v1/images"}[place] in message or content.startswith(b"no film")


def test_nobody_else_finds_a_video(anna: TestClient, film: bytes, key: str) -> None:
    ben = as_tenant(BEN)
    assert anna.get(f"/v1/videos/{key}", headers=ben).status_code == 404
    asked = {"video": key, "query": QUERY}
    assert anna.post("/v1/episodes", json=asked, headers=ben).json()["error"]["code"] == "video_gone"
    assert anna.post("/v1/videos", content=film, headers=ben).json()["video"] != key


def test_a_video_is_forgotten_when_told_and_when_unused(film: bytes, tmp_path: Path) -> None:
    clock = [1e12]
    store = VideoStore(max_bytes=2**20, max_pixels=10**6, seconds=60, folder=tmp_path / "videos", now=lambda: clock[0])
    key, _ = store.put(Tenant(), film)
    other = VideoStore(max_bytes=2**20, max_pixels=10**6, seconds=60, folder=tmp_path / "videos")
    assert len(other.get(Tenant(), key)) == 4  # as another process sees it
    store.drop_expired()
    assert not store.has(Tenant(), key)
    store.drop(Tenant(), key)
    with pytest.raises(ApiError, match="upload it again"):
        other.get(Tenant(), key)


def test_the_oldest_videos_of_a_tenant_make_room_for_its_new_ones_and_not_for_others(tmp_path: Path) -> None:
    films = [write_film(np.random.default_rng(value).integers(0, 255, (2, 16, 16, 3), np.uint8)) for value in range(3)]
    anna, ben = Tenant("anna"), Tenant("ben")
    room, folder = 5 * max(map(len, films)), tmp_path / "videos"
    store = VideoStore(max_bytes=room, max_pixels=10**6, seconds=60, tenants=(anna, ben), folder=folder)
    of_ben, _ = store.put(ben, films[0])
    keys = [store.put(anna, film)[0] for film in films[:2]]
    for path in folder.glob(f"*-{keys[0]}.video"):
        os.utime(path, (1, 1))
    keys.append(store.put(anna, films[2])[0])
    assert [store.has(anna, key) for key in keys] == [False, True, True]
    assert store.has(ben, of_ben)
    with pytest.raises(ApiError, match="make it smaller"):
        store.put(anna, bytes(room))


def test_a_planner_without_the_tools_for_videos_says_so(film: bytes, tiny: Sam3) -> None:
    def load(name: str) -> GrammarPlanner:
        return GrammarPlanner(toolset=PAPER)

    book = PlannerBook(["grammar"], load, load)
    with TestClient(create_app(ServeSettings(), tiny, book)) as client:
        key = client.post("/v1/videos", content=film).json()["video"]
        error = client.post("/v1/episodes", json={"video": key, "query": "cup"}).json()["error"]
    assert (error["code"], "is asked about a video" in error["message"]) == ("wrong_planner", True)


def test_a_temporary_folder_goes_with_the_server(film: bytes, sam3: Sam3) -> None:
    with TestClient(create_app(ServeSettings(), sam3)) as client:
        client.post("/v1/videos", content=film)
        folder = client.app.state.services.videos._folder  # type: ignore[attr-defined]
        assert [path.suffix for path in folder.iterdir()] == [".video"]
    assert not folder.exists()
